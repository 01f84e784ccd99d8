# What the compiler makes of the wgmma kernel: nothing spilled, no product serialised, and, where a disassembler is
# found, the instruction itself in every kernel.
#   cmake -DNVCC=... -DSOURCE=kernels/cuda/flash_attention_sm90a.cu -DINCLUDE=... -DWORK=... -P check_wgmma_build.cmake
set(kernels 8) # head_dim 40, 64, 80 and 160, f16 and bf16
file(MAKE_DIRECTORY ${WORK})
execute_process(
  COMMAND ${NVCC} -O3 -DNDEBUG --std=c++20 --expt-relaxed-constexpr -DDIFFUSE_CUDA_WGMMA -I${INCLUDE}
    -gencode=arch=compute_90a,code=sm_90a -Xptxas -v -cubin -o ${WORK}/wgmma.cubin ${SOURCE}
  RESULT_VARIABLE status OUTPUT_VARIABLE said ERROR_VARIABLE said)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "nvcc failed:\n${said}")
endif()
string(REGEX MATCHALL "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads" clean "${said}")
list(LENGTH clean clean)
if(NOT clean EQUAL kernels)
  message(FATAL_ERROR "${clean} of ${kernels} kernels keep everything in registers:\n${said}")
endif()
if(said MATCHES "serialized|Potential Performance Loss")
  message(FATAL_ERROR "products are serialised:\n${said}")
endif()
string(REGEX MATCHALL "Used [0-9]+ registers" registers "${said}")
message("wgmma kernels: ${kernels}; ${registers}")
find_program(CUOBJDUMP cuobjdump)
if(NOT CUOBJDUMP)
  message("not run: the disassembly of the wgmma kernels: no cuobjdump")
  return()
endif()
execute_process(COMMAND ${CUOBJDUMP} -sass ${WORK}/wgmma.cubin OUTPUT_VARIABLE sass)
string(REGEX MATCHALL "HGMMA\\.64x[0-9]+x16\\.F32[^ ]* " products "${sass}")
list(LENGTH products products)
if(products LESS 100)
  message(FATAL_ERROR "${products} HGMMA instructions in ${kernels} kernels")
endif()
message("wgmma kernels: ${products} HGMMA instructions")
