"""What the descent is compared with: simple rules, and schemes of papers."""
