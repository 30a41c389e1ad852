"""Other programs that copy and paste lesions, each on the same batch, each as fast as its own users can have it."""
