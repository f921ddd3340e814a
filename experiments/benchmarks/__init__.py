"""How fast the package is, measured beside plain PyTorch programs."""
