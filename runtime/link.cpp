#include "runtime/link.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace hutch::runtime {

const char* stage_name(Stage stage) {
    switch (stage) {
        case Stage::kNone:
            break;
        case Stage::kControllers:
            return "joining a v1 control group";
        case Stage::kNetwork:
            return "joining the network namespace";
        case Stage::kCradle:
            return "joining the empty mount namespace";
        case Stage::kUser:
            return "joining the user namespace";
        case Stage::kClone:
            return "cloning into new namespaces";
        case Stage::kExec:
            return "executing hutch-init";
        case Stage::kReceive:
            return "receiving from hutchd";
        case Stage::kRoot:
            return "placing the root file system";
        case Stage::kMount:
            return "mounting";
        case Stage::kMachine:
            return "showing the machine";
        case Stage::kMask:
            return "masking";
        case Stage::kPivot:
            return "changing the root";
        case Stage::kHostname:
            return "setting the host name";
        case Stage::kEtc:
            return "writing";
        case Stage::kCapabilities:
            return "dropping capabilities";
        case Stage::kSeccomp:
            return "installing the seccomp program";
        case Stage::kTerminal:
            return "opening a terminal";
        case Stage::kLeaf:
            return "cloning into the run's control group";
        case Stage::kCredentials:
            return "changing user";
        case Stage::kWorkDir:
            return "entering the working directory";
        case Stage::kCommand:
            return "executing";
    }
    return "unknown stage";
}

namespace {

// Strings travel NUL-terminated: one inside would shift all that follow.
Result<void> check_strings(const RunSpec& spec) {
    const auto whole = [](const std::string& text) { return text.find('\0') == std::string::npos; };
    if (spec.argv.empty()) return invalid("command: is empty");
    if (!std::all_of(spec.argv.begin(), spec.argv.end(), whole)) return invalid("command: holds a NUL character");
    if (!std::all_of(spec.env.begin(), spec.env.end(), whole)) return invalid("environment: holds a NUL character");
    if (!whole(spec.work_dir)) return invalid("working directory: holds a NUL character");
    if (spec.kept.size() > kMaxKept) return invalid("kept: at most " + std::to_string(kMaxKept) + " descriptors");
    if (spec.argv.size() + spec.env.size() + 3 > kMaxStrings) {
        return Error{ErrorKind::kTooLarge, 0,
                     "command: more than " + std::to_string(kMaxStrings - 3) + " arguments and environment variables"};
    }
    return {};
}

}  // namespace

Error failure_of(const Reply& reply) {
    std::string what = stage_name(reply.stage);
    const std::string object(reply.object, strnlen(reply.object, sizeof(reply.object)));
    if (!object.empty()) what += " " + object;
    return errno_error(what, reply.code);
}

Result<void> Link::name(const std::string& hostname) {
    Name name{};
    name.type = MessageType::kName;
    hostname.copy(name.hostname, sizeof(name.hostname) - 1);
    const auto sent = send_packet({reinterpret_cast<const char*>(&name), sizeof(name)}, {});
    const bool gone = !sent.ok() && (sent.error().code == EPIPE || sent.error().code == ECONNRESET);
    return gone ? Result<void>() : sent;
}

Result<void> Link::send(const RunSpec& spec) {
    TRY(check_strings(spec));
    Run run{};
    run.type = MessageType::kRun;
    run.run_id = spec.id;
    run.argc = static_cast<uint32_t>(spec.argv.size());
    run.envc = static_cast<uint32_t>(spec.env.size());
    run.uid = spec.uid;
    run.gid = spec.gid;
    run.tty = spec.terminal ? 1 : 0;
    run.defaults = spec.defaults;
    if (spec.fall_back) run.choices |= kFallBack;
    if (spec.in < 0) run.choices |= kNoInput;
    if (spec.terminal) {
        run.rows = spec.terminal->rows;
        run.cols = spec.terminal->cols;
    }
    std::string packet(reinterpret_cast<const char*>(&run), sizeof(run));
    const auto append = [&packet](const std::string& text) { packet.append(text.c_str(), text.size() + 1); };
    for (const std::string& argument : spec.argv) append(argument);
    for (const std::string& variable : spec.env) append(variable);
    append(spec.work_dir);
    if (packet.size() > kMaxMessage) {
        return Error{ErrorKind::kTooLarge, 0,
                     "command: arguments and environment hold more than " + std::to_string(kMaxMessage) +
                         " bytes; pass large input in a file"};
    }
    std::vector<int> fds{spec.leaf};
    if (!spec.terminal) {
        const int in = spec.in < 0 ? spec.out : spec.in;  // where there is none, init does not look at it
        fds.insert(fds.end(), {in, spec.out, spec.err});
        fds.insert(fds.end(), spec.kept.begin(), spec.kept.end());
    }
    return send_packet(packet, fds);
}

Result<void> Link::forget(uint64_t run) {
    const Request request{MessageType::kForget, 0, run};
    return send_packet({reinterpret_cast<const char*>(&request), sizeof(request)}, {});
}

Result<void> Link::signal(uint64_t run, int signal) {
    const Request request{MessageType::kSignal, static_cast<uint32_t>(signal), run};
    return send_packet({reinterpret_cast<const char*>(&request), sizeof(request)}, {});
}

Result<void> Link::ask_report(uint64_t number) {
    const Request request{MessageType::kReport, 0, number};
    return send_packet({reinterpret_cast<const char*>(&request), sizeof(request)}, {});
}

Result<void> Link::send_packet(std::string_view packet, std::span<const int> fds) {
    alignas(cmsghdr) char control[CMSG_SPACE((4 + kMaxKept) * sizeof(int))] = {};
    iovec data{const_cast<char*>(packet.data()), packet.size()};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    if (!fds.empty()) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(fds.size_bytes());
        cmsghdr* rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(fds.size_bytes());
        std::memcpy(CMSG_DATA(rights), fds.data(), fds.size_bytes());
    }
    if (sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        if (errno == EAGAIN) return Error{ErrorKind::kLimit, EAGAIN, "the box takes no more commands now; try again"};
        return errno_error("sending to the box's init");
    }
    return {};
}

Result<std::optional<Message>> Link::receive() {
    Message result;
    alignas(cmsghdr) char control[CMSG_SPACE(kMaxKept * sizeof(int))] = {};
    iovec data{&result.reply, sizeof(result.reply)};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    const ssize_t n = recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return std::optional<Message>{};
    if (n < 0) return errno_error("receiving from the box's init");
    const cmsghdr* rights = CMSG_FIRSTHDR(&message);
    if (rights != nullptr && rights->cmsg_type == SCM_RIGHTS) {
        int fds[kMaxKept];
        const size_t count = std::min<size_t>((rights->cmsg_len - CMSG_LEN(0)) / sizeof(int), kMaxKept);
        std::memcpy(fds, CMSG_DATA(rights), count * sizeof(int));
        for (size_t i = 0; i < count; ++i) result.fds[i] = UniqueFd(fds[i]);
    }
    result.fds_lost = (message.msg_flags & MSG_CTRUNC) != 0;
    const bool whole = n == sizeof(result.reply) && (message.msg_flags & MSG_TRUNC) == 0;
    if (!whole) return errno_error("receiving from the box's init", n == 0 ? ECONNRESET : EPROTO);
    return std::optional<Message>(std::move(result));
}

Result<void> Link::wait_ready(int deadline_ms) {
    pollfd ready{socket_.get(), POLLIN, 0};
    const int n = poll(&ready, 1, deadline_ms);
    if (n < 0) return errno_error("waiting for the box's init");
    if (n == 0) return errno_error("waiting for the box's init", ETIMEDOUT);
    const std::optional<Message> message = TRY(receive());
    if (!message) return errno_error("waiting for the box's init", EPROTO);
    if (message->reply.type == MessageType::kFailed) return failure_of(message->reply);
    if (message->reply.type != MessageType::kReady) return errno_error("waiting for the box's init", EPROTO);
    return {};
}

}  // namespace hutch::runtime
