#include "runtime/init_image.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <string_view>

#include "base/file.h"

extern "C" {
extern const char hutch_init_begin[];
extern const char hutch_init_end[];
}

namespace hutch::runtime {

Result<UniqueFd> init_image() {
#ifndef MFD_EXEC
    constexpr unsigned MFD_EXEC = 0x0010U;  // Linux 6.3; older kernels refuse it and need nothing
#endif
    const std::string_view bytes{hutch_init_begin, static_cast<size_t>(hutch_init_end - hutch_init_begin)};
    auto made = sealed_memory("hutch-init", bytes, MFD_EXEC);
    if (!made.ok() && made.error().code == EINVAL) made = sealed_memory("hutch-init", bytes);
    const UniqueFd image = TRY(std::move(made));
    // Who executes what it may not read becomes a process that only those may trace who have CAP_SYS_PTRACE where the
    // file's owner has an id: the host's root, and never that of a box (would_dump() in fs/exec.c).
    if (fchmod(image.get(), 0511) != 0) return errno_error("closing the image of init to others");
    // A read-only description of it: a writable one would make execve answer ETXTBSY.
    return open_at(AT_FDCWD, "/proc/self/fd/" + std::to_string(image.get()), O_RDONLY);
}

}  // namespace hutch::runtime
