#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hutch {

/// How a program ended, and what it said.
struct ProgramEnd {
    pid_t process = -1;  ///< gone
    int status = 0;      ///< as waitpid(2) tells it; 0: it did what it was asked for
    std::string output;
    std::string complaints;  ///< of its standard error, without the newline at the end
};

/// Runs a program of the PATH, or of /usr/sbin, to its end, with `input` on its standard input, in the namespaces and
/// with the power of the calling thread, and without its environment. `words`: its name, and its arguments. `package`:
/// what to install where it is missing. It takes milliseconds, and blocks. An error: it could not be run, or said too
/// much; look at `status` for the rest.
Result<ProgramEnd> run_program(std::vector<std::string> words, const std::string& package, std::string_view input = "");

}  // namespace hutch
