from .convolution import depthwise_conv2d, depthwise_conv2d_input_grad, depthwise_conv2d_weight_grad
from .fft_convolution import fft_depthwise_conv2d

__all__ = [
    "depthwise_conv2d",
    "depthwise_conv2d_input_grad",
    "depthwise_conv2d_weight_grad",
    "fft_depthwise_conv2d",
]
