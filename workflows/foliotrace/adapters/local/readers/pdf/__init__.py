"""PDF files and images, read with liteparse and Tesseract."""
