# Turns RTL modules of rtl/files.txt into C++ and links tests with them.
#   postern_verilate(NAME MODULE module [PARAMETERS name=value …] [HARNESS module] [WAVES])   static library NAME with the
#     class V<module>; a harness is a module around it, in a file of the calling folder with its name, that has its ports;
#     WAVES: it can write its signals to an FST file
#   postern_add_rtl_test(NAME MODULE module SOURCES … [PARAMETERS name=value …] [LABELS …])
# With POSTERN_RTL_COVERAGE every process counts what it has exercised of the RTL (docs/coverage.md).
find_program(VERILATOR_PROGRAM verilator REQUIRED)
execute_process(COMMAND ${VERILATOR_PROGRAM} --getenv VERILATOR_ROOT OUTPUT_VARIABLE POSTERN_VERILATOR_ROOT
                OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/rtl/files.txt)

# Verilator's runtime. Its code and what it generates are not the project's: their warnings are off.
add_library(postern_verilated STATIC ${POSTERN_VERILATOR_ROOT}/include/verilated.cpp
                                     ${POSTERN_VERILATOR_ROOT}/include/verilated_threads.cpp)
target_include_directories(postern_verilated SYSTEM PUBLIC ${POSTERN_VERILATOR_ROOT}/include
                                                           ${POSTERN_VERILATOR_ROOT}/include/vltstd)
target_compile_definitions(postern_verilated PUBLIC VM_COVERAGE=$<BOOL:${POSTERN_RTL_COVERAGE}> VM_SC=0 VM_TRACE=0 VL_TIME_CONTEXT)
target_compile_options(postern_verilated PRIVATE -w)
target_link_libraries(postern_verilated PUBLIC Threads::Threads)
if(POSTERN_RTL_COVERAGE)
  target_sources(postern_verilated PRIVATE ${POSTERN_VERILATOR_ROOT}/include/verilated_cov.cpp
                                           ${CMAKE_SOURCE_DIR}/rtl/coverage/verilated_coverage.cc)
  target_include_directories(postern_verilated PUBLIC ${CMAKE_SOURCE_DIR})
endif()

if(POSTERN_RTL_WAVES)
  find_package(ZLIB REQUIRED)
  add_library(postern_verilated_fst STATIC ${POSTERN_VERILATOR_ROOT}/include/verilated_fst_c.cpp)
  target_compile_options(postern_verilated_fst PRIVATE -w)
  target_link_libraries(postern_verilated_fst PUBLIC postern_verilated ZLIB::ZLIB)
endif()

function(_postern_rtl_files module out)
  file(STRINGS ${CMAKE_SOURCE_DIR}/rtl/files.txt line REGEX "^${module}:")
  if(NOT line)
    message(FATAL_ERROR "rtl/files.txt does not list the module ${module}")
  endif()
  string(REGEX REPLACE "^[^:]*: *" "" files "${line}")
  string(REPLACE " " ";" files "${files}")
  list(TRANSFORM files PREPEND ${CMAKE_SOURCE_DIR}/rtl/)
  set(${out} ${CMAKE_SOURCE_DIR}/contract/gen/pst_contract_pkg.sv ${files} PARENT_SCOPE)
endfunction()

# Verilator decides itself how many files it writes; one file that includes them all stands for them in the build.
function(postern_verilate name)
  cmake_parse_arguments(A "WAVES" "MODULE;HARNESS" "PARAMETERS" ${ARGN})
  _postern_rtl_files(${A_MODULE} files)
  set(top ${A_MODULE})
  if(A_HARNESS)
    set(top ${A_HARNESS})
    list(APPEND files ${CMAKE_CURRENT_SOURCE_DIR}/${A_HARNESS}.sv)
  endif()
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/${name}_verilated)
  set(waves)
  if(A_WAVES)
    set(waves --trace-fst --trace-structs)
  endif()
  set(coverage)
  set(count_per_process)
  set(coverage_inputs)
  if(POSTERN_RTL_COVERAGE)
    set(coverage_folder ${CMAKE_SOURCE_DIR}/rtl/coverage)
    # A block that is split or put in another order counts "if (a < b) b = a;" behind the assignment, which is wrong. Corner cases
    # look at the reset, too, which blocks use asynchronously only.
    set(coverage --coverage-line --coverage-toggle --coverage-user -fno-split -fno-reorder -Wno-SYNCASYNCNET -I${coverage_folder})
    set(count_per_process COMMAND /usr/bin/python3 -B ${coverage_folder}/count_per_process.py ${folder})
    set(coverage_inputs ${coverage_folder}/count_per_process.py ${coverage_folder}/corner.svh)
    foreach(file IN LISTS files)
      get_filename_component(block ${file} NAME_WE)
      if(EXISTS ${coverage_folder}/${block}_corners.sv)
        list(APPEND files ${coverage_folder}/${block}_corners.sv)
      endif()
    endforeach()
  endif()
  list(TRANSFORM A_PARAMETERS PREPEND -G)
  add_custom_command(
    OUTPUT ${folder}/all.cc
    BYPRODUCTS ${folder}/V${A_MODULE}.h  # so that a test is compiled anew with the class that has changed
    COMMAND ${CMAKE_COMMAND} -E rm -rf ${folder}
    COMMAND ${VERILATOR_PROGRAM} --cc -O3 -Wall --x-assign fast --x-initial fast --noassert ${waves} ${coverage}
            --top-module ${top} --prefix V${A_MODULE} ${A_PARAMETERS} --Mdir ${folder} ${CMAKE_SOURCE_DIR}/rtl/lint.vlt ${files}
    ${count_per_process}
    COMMAND ${CMAKE_COMMAND} -D FOLDER=${folder} -P ${CMAKE_SOURCE_DIR}/cmake/IncludeVerilated.cmake
    DEPENDS ${files} ${coverage_inputs} ${CMAKE_SOURCE_DIR}/rtl/lint.vlt ${CMAKE_SOURCE_DIR}/cmake/IncludeVerilated.cmake
    COMMENT "Verilating ${A_MODULE} for ${name}" VERBATIM)
  add_custom_target(${name}_code DEPENDS ${folder}/all.cc)  # what clang-tidy needs of it
  add_library(${name} STATIC ${folder}/all.cc)
  add_dependencies(${name} ${name}_code)
  target_include_directories(${name} SYSTEM PUBLIC ${folder})
  target_compile_options(${name} PRIVATE -w $<$<BOOL:${POSTERN_RTL_COVERAGE}>:-O1>)  # half the time to compile, as fast
  if(POSTERN_SANITIZE)
    target_compile_options(${name} PRIVATE -fsanitize=${POSTERN_SANITIZE} -fno-omit-frame-pointer)
  endif()
  target_link_libraries(${name} PUBLIC postern_verilated $<$<BOOL:${A_WAVES}>:postern_verilated_fst>)
endfunction()

function(postern_add_rtl_test name)
  cmake_parse_arguments(A "" "MODULE;TIMEOUT" "SOURCES;PARAMETERS;LABELS;LIBS" ${ARGN})
  if(NOT A_LABELS)
    set(A_LABELS fast rtl)
  endif()
  postern_verilate(${name}_device MODULE ${A_MODULE} PARAMETERS ${A_PARAMETERS})
  postern_add_test(${name} SOURCES ${A_SOURCES} LIBS ${name}_device ${A_LIBS} LABELS ${A_LABELS} TIMEOUT ${A_TIMEOUT})
endfunction()
