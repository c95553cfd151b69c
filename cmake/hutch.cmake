# One way to declare a library, a program or a test, so that every target gets the same rules.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

add_library(hutch_flags INTERFACE)
target_compile_options(hutch_flags INTERFACE -Wall -Wextra -Wconversion -Wshadow -Werror -fno-omit-frame-pointer)
# GCC 12 sees ghosts in inlined std::string code (GCC bugs 105329, 105562, 105651); newer ones do not.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(hutch_flags INTERFACE -Wno-restrict -Wno-array-bounds -Wno-maybe-uninitialized
    -Wno-stringop-overflow -Wno-mismatched-new-delete)
endif()
# Files that are compiled together name each other's types, and GCC takes all but the first for headers.
if(CMAKE_UNITY_BUILD)
  target_compile_options(hutch_flags INTERFACE -Wno-subobject-linkage)
endif()
# Nothing that the program calls through can be changed after its start, and no stack is executable.
target_link_options(hutch_flags INTERFACE -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
# An overflow that is found ends the program. Not -fcf-protection: the kernel enforces it only where the C library is
# built with it, and Debian's is not.
if(NOT HUTCH_SANITIZE)
  target_compile_options(hutch_flags INTERFACE
    $<$<NOT:$<CONFIG:Debug>>:-fstack-protector-strong> $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE> $<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=3>)
endif()
target_include_directories(hutch_flags INTERFACE ${CMAKE_SOURCE_DIR})

add_library(hutch_sanitize INTERFACE)
if(HUTCH_SANITIZE)
  target_compile_options(hutch_sanitize INTERFACE -fsanitize=${HUTCH_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(hutch_sanitize INTERFACE -fsanitize=${HUTCH_SANITIZE})
  if(HUTCH_SANITIZE MATCHES thread) # it does not follow fences, and GCC says so by a warning
    target_compile_definitions(hutch_sanitize INTERFACE BOOST_ASIO_DISABLE_FENCED_BLOCK)
  endif()
endif()

# hutch_library(name SOURCES ... LINKS ...): libhutch_<name> from the folder's files.
function(hutch_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_library(hutch_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(hutch_${name} PUBLIC ${ARG_LINKS} PRIVATE hutch_flags hutch_sanitize)
  target_include_directories(hutch_${name} PUBLIC ${CMAKE_SOURCE_DIR})
endfunction()

# hutch_program(name SOURCES ... LINKS ...)
function(hutch_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LINKS} hutch_flags hutch_sanitize)
endfunction()

# install_unit(NAME COMPONENT): systemd/NAME.service.in, which names the program where it is installed; and
# `cmake --install --prefix` says where that is.
function(install_unit name component)
  install(CODE "
    set(CMAKE_INSTALL_BINDIR \"${CMAKE_INSTALL_BINDIR}\")
    cmake_path(ABSOLUTE_PATH CMAKE_INSTALL_BINDIR BASE_DIRECTORY \"\${CMAKE_INSTALL_PREFIX}\" OUTPUT_VARIABLE CMAKE_INSTALL_FULL_BINDIR)
    configure_file(\"${PROJECT_SOURCE_DIR}/systemd/${name}.service.in\" \"${CMAKE_CURRENT_BINARY_DIR}/${name}.service\" @ONLY)
  " COMPONENT ${component})
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${name}.service DESTINATION lib/systemd/system COMPONENT ${component})
endfunction()
