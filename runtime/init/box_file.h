#pragma once

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace hutch::runtime::init {

/// Reads the beginning of a file that the box may have made anything else: a link is not followed, a FIFO not waited
/// for, a terminal not taken. How many bytes, at most `room`; -1 with errno, EINVAL for what is no regular file.
inline ssize_t read_box_file(const char* path, char* buffer, size_t room) {
    const int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) return -1;
    struct stat status {};
    const bool regular = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    const ssize_t size = regular ? read(fd, buffer, room) : -1;
    close(fd);
    if (!regular) errno = EINVAL;
    return size;
}

}  // namespace hutch::runtime::init
