"""The annotation tool: dense pose labels by hand, on a page in the browser (DensePose, 2.1)."""
