# What the compiler makes of the products on tiles: the instructions themselves, a product for each tile of sums of
# 32 rows (four) and of 16 rows (two).
#   cmake -DOBJECT=amx_bf16.cpp.o -DOBJDUMP=objdump -P check_tile_build.cmake
if(NOT OBJDUMP)
  message("not run: the disassembly of the products on tiles: no objdump")
  return()
endif()
execute_process(COMMAND ${OBJDUMP} -d --no-show-raw-insn ${OBJECT} RESULT_VARIABLE status OUTPUT_VARIABLE code)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${OBJDUMP} cannot read ${OBJECT}")
endif()
foreach(instruction ldtilecfg tilezero tileloadd tilestored tdpbf16ps tilerelease)
  string(REGEX MATCHALL "[\t ]${instruction}[\t \n]" found "${code}")
  list(LENGTH found count)
  message("${instruction}: ${count}")
  if(count EQUAL 0 OR (instruction STREQUAL "tdpbf16ps" AND count LESS 6))
    message(FATAL_ERROR "too few of ${instruction}")
  endif()
endforeach()
