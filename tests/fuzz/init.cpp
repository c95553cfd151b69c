// What a box's init sends, were it somebody else: one message of its length, or an error; no descriptor is lost.

#include <fcntl.h>
#include <sys/socket.h>

#include "runtime/link.h"
#include "tests/fuzz/pieces.h"

using namespace hutch;

namespace {

void send(int socket, const uint8_t* data, size_t size, size_t fds) {
    alignas(cmsghdr) char control[CMSG_SPACE(4 * sizeof(int))] = {};
    iovec piece{const_cast<uint8_t*>(data), size};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    if (fds > 0) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(fds * sizeof(int));
        cmsghdr* const rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(fds * sizeof(int));
        for (size_t i = 0; i < fds; ++i) reinterpret_cast<int*>(CMSG_DATA(rights))[i] = socket;
    }
    (void)sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    int ends[2];
    must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    const int lowest = ends[0];  // which is free again afterwards
    {
        UniqueFd init(ends[0]);
        runtime::Link link((UniqueFd(ends[1])));
        for (size_t at = 0; at < size;) {  // a byte for the descriptors, one for the length, the packet
            const size_t fds = data[at] % 5;
            const size_t length = at + 1 < size ? sizeof(runtime::Reply) - 2 + data[at + 1] % 5 : 0;
            at = std::min(at + 2, size);
            const size_t taken = std::min(length, size - at);
            send(init.get(), data + at, taken, fds);
            at += taken;
            const auto message = link.receive();
            must(!message.ok() || !message.value() || taken == sizeof(runtime::Reply));
            if (message.ok() && message.value()) {
                const Error told = runtime::failure_of(message.value()->reply);
                must(!told.message.empty() && told.message.size() < 300);
            }
        }
        init.reset();
        while (true) {
            const auto message = link.receive();
            if (!message.ok()) break;
            must(message.value().has_value());
        }
    }
    const int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
    must(next == lowest);
    close(next);
    return 0;
}
