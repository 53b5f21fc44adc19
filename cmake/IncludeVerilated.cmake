# Script: writes FOLDER/all.cc, which includes every source file that Verilator has written into FOLDER.
file(GLOB sources RELATIVE ${FOLDER} ${FOLDER}/V*.cpp)
list(SORT sources)
set(text "")
foreach(source IN LISTS sources)
  string(APPEND text "#include \"${source}\"\n")
endforeach()
file(WRITE ${FOLDER}/all.cc "${text}")
