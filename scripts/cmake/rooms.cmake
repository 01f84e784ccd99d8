# What every target of the project shares: language level, warnings, sanitizers.

add_library(diffuse_build_flags INTERFACE)
target_compile_features(diffuse_build_flags INTERFACE cxx_std_20)
target_include_directories(diffuse_build_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(diffuse_build_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror
    # x * y + z keeps its two roundings unless a kernel asks for fma: the same bytes from g++ and clang++.
    -ffp-contract=off>
  # g++ 12 sees overlaps in std::string that are not there (GCC bug 105651).
  $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-restrict>)
if(DIFFUSE_SANITIZE)
  target_compile_options(diffuse_build_flags INTERFACE
    -fsanitize=${DIFFUSE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all -g)
  target_link_options(diffuse_build_flags INTERFACE -fsanitize=${DIFFUSE_SANITIZE})
endif()

# diffuse_room(NAME SOURCES a.cpp ... [LINK lib ...] [PRIVATE lib ...]): one static library for one room.
function(diffuse_room name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK;PRIVATE" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC diffuse_build_flags ${ARG_LINK} PRIVATE ${ARG_PRIVATE})
endfunction()

# diffuse_test(NAME SOURCES a.cpp ... LINK lib ... [LABELS l ...] [TIMEOUT s]): one Catch2 program, one ctest entry.
function(diffuse_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LINK;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE diffuse_test_support ${ARG_LINK})
  target_compile_definitions(${name} PRIVATE
    DIFFUSE_TEST_DATA="${PROJECT_SOURCE_DIR}/tests/data")
  add_test(NAME ${name} COMMAND ${name})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT})
endfunction()
