"""CUDA kernels for BTE and DCNv2 (`kernels/`), and what makes them a TensorRT plugin or a PyTorch function."""
