#include "daemon/run/pipe.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace hutch::daemon {

Result<std::array<UniqueFd, 2>> make_pipe(PipeOf use, uid_t owner) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return errno_error("making a pipe");
    std::array<UniqueFd, 2> pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
    const bool output = use == PipeOf::kOutput;
    const int ours = ends[output ? 0 : 1];
    if (fcntl(ours, F_SETFL, O_NONBLOCK | (output ? O_RDONLY : O_WRONLY)) != 0) return errno_error("making a pipe");
    // Others too, in the pipe's one direction: whoever has it open may, and nobody else finds it.
    if (fchmod(ours, output ? 0622 : 0644) != 0 || fchown(ours, owner, owner) != 0) {
        return errno_error("giving a pipe away");
    }
    return pipe;
}

}  // namespace hutch::daemon
