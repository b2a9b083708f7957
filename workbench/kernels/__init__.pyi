from .attention_heads import attention
from .attention_matrix import attention_naive, attention_naive_cost
from .attention_passes import attention_one_pass, attention_three_pass, attention_two_pass
from .attention_staggered import (
    attention_staggered,
    staggered_scores,
    staggered_scores_cost,
    staggered_statistic,
    staggered_steps,
    staggered_values,
)
from .attention_tiles import attention_tiled, attention_tiled_heads
from .attention_window import attention_windowed, attention_windowed_cost
from .attention_work import (
    Level,
    Pace,
    Stream,
    Work,
    attention_kernels,
    attention_work,
    level_of,
    pace_of,
    predicted_seconds,
    tiled_work,
    waiting_seconds,
)
from .bit_scores import hamming_scores, masked_sums, packed_bits, sign_scores
from .convolution import depthwise_conv2d, depthwise_conv2d_input_grad, depthwise_conv2d_weight_grad
from .convolution_loops import conv1d_direct, conv2d_cost, conv2d_direct
from .cost import Cost
from .dense_convolution import conv1d, conv2d
from .fft_convolution import fft_conv1d, fft_conv2d, fft_depthwise_conv2d
from .five_point import jacobi, stencil, stencil_cost, stencil_sweeps, stencil_tiled, stencil_wavefront
from .fixed_point import WORD, Codes, FixedPoint, rounded_products, running_statistic
from .fused_conv_block import conv_first_bands, conv_first_cost
from .gelu_table import delta_table, gelu, gelu_fixed
from .im2col_convolution import im2col, im2col_conv2d, im2col_cost, im2col_direct
from .inception import inception_concatenated, inception_cost, inception_in_place, inception_mixer
from .line_ring import depthwise_lines, depthwise_lines_cost
from .long_convolution_fft import long_convolution, long_convolution_direct, long_convolution_direct_cost
from .matmul import (
    matmul_blocked,
    matmul_cost,
    matmul_ijk,
    matmul_ikj,
    matmul_jik,
    matmul_jki,
    matmul_kij,
    matmul_kji,
)
from .neighborhood import (
    neighborhood_attention,
    neighborhood_attention_forward,
    neighborhood_attention_grad,
)
from .neighborhood_backward import neighborhood_key_grad, neighborhood_query_grad
from .neighborhood_cost import (
    neighborhood_dense_scores,
    neighborhood_fused_flops,
    neighborhood_fused_scores,
    neighborhood_gemm_flops,
    neighborhood_gemm_scores,
    neighborhood_naive_cost,
    neighborhood_naive_flops,
    neighborhood_weight_bytes,
)
from .neighborhood_fused import neighborhood_fused
from .neighborhood_gemm import neighborhood_gemm
from .neighborhood_naive import neighborhood_naive, neighborhood_rows
from .neighborhood_tiles import tile_layout, tile_of
from .neighborhood_windows import (
    Neighborhood,
    NeighborhoodTile,
    neighborhood_mask,
    neighborhood_window,
)
from .packed_matmul import packed_matmul
from .scan import prefix_sum, selective_scan
from .scan_blocks import scan_blocked
from .scan_chain import scan_serial, scan_serial_cost
from .scan_selective import selective_scan_blocked, selective_scan_serial
from .scan_tree import scan_blelloch, scan_blelloch_cost
from .separable import separable_conv2d, separable_cost, separate
from .shift_bytes import float_vector, plain_vector, shift_vector, weight_bytes
from .shift_product import (
    ShiftWeights,
    product_fast,
    shift_linear,
    shift_product,
    shift_product_cost,
    shift_product_fast,
)
from .softmax_exp import exp32
from .softmax_pairs import softmax_two_pass, softmax_two_pass_rows
from .softmax_rows import softmax, softmax_cost
from .softmax_running import softmax_online, softmax_online_blocked
from .softmax_three_pass import softmax_recompute, softmax_reload
from .sparse import sparse_matmul, sparse_matmul_inner, sparse_matmul_outer, sparse_matvec
from .sparse_inner import spgemm_inner
from .sparse_outer import spgemm_outer
from .sparse_rowwise import spgemm_rowwise
from .sparse_vector import csr_matvec, csr_matvec_parallel
from .stream import (
    parallel_add,
    parallel_copy,
    parallel_scale,
    parallel_triad,
    stream_add,
    stream_copy,
    stream_cost,
    stream_scale,
    stream_triad,
)
from .transposition import transpose, transpose_blocked, transpose_cost, transposed
from .wide_gate import gate_by_mix, large_kernel_attention, large_kernel_attention_cost
from .winograd import transform_kernels, winograd_conv2d, winograd_tile, winograd_tile_cost

__all__ = [
    "WORD",
    "Codes",
    "Cost",
    "FixedPoint",
    "Level",
    "Neighborhood",
    "NeighborhoodTile",
    "Pace",
    "ShiftWeights",
    "Stream",
    "Work",
    "attention",
    "attention_kernels",
    "attention_naive",
    "attention_naive_cost",
    "attention_one_pass",
    "attention_staggered",
    "attention_three_pass",
    "attention_tiled",
    "attention_tiled_heads",
    "attention_two_pass",
    "attention_windowed",
    "attention_windowed_cost",
    "attention_work",
    "conv1d",
    "conv1d_direct",
    "conv2d",
    "conv2d_cost",
    "conv2d_direct",
    "conv_first_bands",
    "conv_first_cost",
    "csr_matvec",
    "csr_matvec_parallel",
    "delta_table",
    "depthwise_conv2d",
    "depthwise_conv2d_input_grad",
    "depthwise_conv2d_weight_grad",
    "depthwise_lines",
    "depthwise_lines_cost",
    "exp32",
    "fft_conv1d",
    "fft_conv2d",
    "fft_depthwise_conv2d",
    "float_vector",
    "gate_by_mix",
    "gelu",
    "gelu_fixed",
    "hamming_scores",
    "im2col",
    "im2col_conv2d",
    "im2col_cost",
    "im2col_direct",
    "inception_concatenated",
    "inception_cost",
    "inception_in_place",
    "inception_mixer",
    "jacobi",
    "large_kernel_attention",
    "large_kernel_attention_cost",
    "level_of",
    "long_convolution",
    "long_convolution_direct",
    "long_convolution_direct_cost",
    "masked_sums",
    "matmul_blocked",
    "matmul_cost",
    "matmul_ijk",
    "matmul_ikj",
    "matmul_jik",
    "matmul_jki",
    "matmul_kij",
    "matmul_kji",
    "neighborhood_attention",
    "neighborhood_attention_forward",
    "neighborhood_attention_grad",
    "neighborhood_dense_scores",
    "neighborhood_fused",
    "neighborhood_fused_flops",
    "neighborhood_fused_scores",
    "neighborhood_gemm",
    "neighborhood_gemm_flops",
    "neighborhood_gemm_scores",
    "neighborhood_key_grad",
    "neighborhood_mask",
    "neighborhood_naive",
    "neighborhood_naive_cost",
    "neighborhood_naive_flops",
    "neighborhood_query_grad",
    "neighborhood_rows",
    "neighborhood_weight_bytes",
    "neighborhood_window",
    "pace_of",
    "packed_bits",
    "packed_matmul",
    "parallel_add",
    "parallel_copy",
    "parallel_scale",
    "parallel_triad",
    "plain_vector",
    "predicted_seconds",
    "prefix_sum",
    "product_fast",
    "rounded_products",
    "running_statistic",
    "scan_blelloch",
    "scan_blelloch_cost",
    "scan_blocked",
    "scan_serial",
    "scan_serial_cost",
    "selective_scan",
    "selective_scan_blocked",
    "selective_scan_serial",
    "separable_conv2d",
    "separable_cost",
    "separate",
    "shift_linear",
    "shift_product",
    "shift_product_cost",
    "shift_product_fast",
    "shift_vector",
    "sign_scores",
    "softmax",
    "softmax_cost",
    "softmax_online",
    "softmax_online_blocked",
    "softmax_recompute",
    "softmax_reload",
    "softmax_two_pass",
    "softmax_two_pass_rows",
    "sparse_matmul",
    "sparse_matmul_inner",
    "sparse_matmul_outer",
    "sparse_matvec",
    "spgemm_inner",
    "spgemm_outer",
    "spgemm_rowwise",
    "staggered_scores",
    "staggered_scores_cost",
    "staggered_statistic",
    "staggered_steps",
    "staggered_values",
    "stencil",
    "stencil_cost",
    "stencil_sweeps",
    "stencil_tiled",
    "stencil_wavefront",
    "stream_add",
    "stream_copy",
    "stream_cost",
    "stream_scale",
    "stream_triad",
    "tile_layout",
    "tile_of",
    "tiled_work",
    "transform_kernels",
    "transpose",
    "transpose_blocked",
    "transpose_cost",
    "transposed",
    "waiting_seconds",
    "weight_bytes",
    "winograd_conv2d",
    "winograd_tile",
    "winograd_tile_cost",
]
