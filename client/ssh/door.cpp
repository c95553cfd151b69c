#include "client/ssh/door.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <vector>

#include "base/undo.h"
#include "client/ssh/guests.h"
#include "client/ssh/visit.h"

namespace hutch::client {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kBacklog = 128;
constexpr rlim_t kMostMemory = rlim_t{256} << 20;  // of one guest's process
constexpr rlim_t kMostFiles = 512;

struct Address {
    std::string text;   ///< for what is said
    std::string group;  ///< whom it is counted as: of IPv6 a /64
};

Address address_in(const sockaddr_storage& from, socklen_t size) {
    char text[NI_MAXHOST] = "";
    (void)getnameinfo(reinterpret_cast<const sockaddr*>(&from), size, text, sizeof(text), nullptr, 0, NI_NUMERICHOST);
    Address address{text, text};
    if (from.ss_family != AF_INET6) return address;
    const auto& ip = reinterpret_cast<const sockaddr_in6&>(from).sin6_addr;
    const size_t kept = IN6_IS_ADDR_V4MAPPED(&ip) ? sizeof(ip) : sizeof(ip) / 2;
    address.group = std::string(reinterpret_cast<const char*>(ip.s6_addr), kept);
    return address;
}

// What a process needs that a guest's bytes are read in, and no more.
void settle_in() {
    const rlimit memory{kMostMemory, kMostMemory}, files{kMostFiles, kMostFiles}, none{0, 0};
    (void)setrlimit(RLIMIT_DATA, &memory);
    (void)setrlimit(RLIMIT_NOFILE, &files);
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0);
}

// Each guest costs the door one descriptor.
void make_room() {
    rlimit files{};
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
    files.rlim_cur = std::min<rlim_t>(files.rlim_max, 2 * Guests::kMost);
    (void)setrlimit(RLIMIT_NOFILE, &files);
}

void set_option(int socket, int level, int name, int value) {
    (void)setsockopt(socket, level, name, &value, sizeof(value));
}

// Keys pressed are sent at once, and who has gone without a word is noticed within minutes.
void set_options(int connection) {
    set_option(connection, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(connection, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(connection, IPPROTO_TCP, TCP_KEEPIDLE, 60);
    set_option(connection, IPPROTO_TCP, TCP_KEEPINTVL, 30);
    set_option(connection, IPPROTO_TCP, TCP_KEEPCNT, 4);
}

class Door {
  public:
    Door(UniqueFd listening, UniqueFd signals, const sigset_t& before, ssh_bind bind, const Endpoint& daemon)
        : listening_(std::move(listening)),
          signals_(std::move(signals)),
          before_(before),
          bind_(bind),
          daemon_(daemon) {}

    Result<void> keep() {
        for (;;) {
            std::vector<pollfd> ready{{signals_.get(), POLLIN, 0}, {listening_.get(), POLLIN, 0}};
            for (const Child& child : children_) ready.push_back({child.news.get(), POLLIN, 0});
            if (poll(ready.data(), ready.size(), -1) < 0) {
                if (errno == EINTR) continue;
                return errno_error("waiting for guests");
            }
            if (ready[0].revents != 0) return end_all();
            for (size_t i = children_.size(); i-- > 0;) {
                if (ready[i + 2].revents != 0 && !hear(children_[i]))
                    children_.erase(children_.begin() + static_cast<ptrdiff_t>(i));
            }
            if (ready[1].revents != 0) let_in();
        }
    }

  private:
    struct Child {
        pid_t process;
        UniqueFd news;  ///< at its end the process is at its own
        std::string group;
        bool known = false;
    };

    void let_in() {
        sockaddr_storage from{};
        socklen_t size = sizeof(from);
        UniqueFd connection(accept4(listening_.get(), reinterpret_cast<sockaddr*>(&from), &size, SOCK_CLOEXEC));
        if (!connection) return;
        const Address address = address_in(from, size);
        if (!guests_.may_enter(address.group, Clock::now())) return;
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) != 0) return say_of_ssh(errno_error("making a pipe").message);
        UniqueFd news(ends[0]), tell(ends[1]);
        const pid_t process = fork();
        if (process < 0) return say_of_ssh(errno_error("making a process for a guest").message);
        if (process == 0) be_visited(std::move(connection), std::move(tell), address.text);
        guests_.enter(address.group);
        children_.push_back({process, std::move(news), address.group});
    }

    [[noreturn]] void be_visited(UniqueFd connection, UniqueFd tell, const std::string& address) {
        listening_.reset();
        signals_.reset();
        children_.clear();
        (void)sigprocmask(SIG_SETMASK, &before_, nullptr);
        settle_in();
        set_options(connection.get());
        const auto tell_door = [&tell](News news) {
            const char byte = static_cast<char>(news);
            [[maybe_unused]] const ssize_t told = write(tell.get(), &byte, 1);
        };
        try {
            serve_visit({bind_, daemon_, address, tell_door}, std::move(connection));
        } catch (const std::exception& error) {
            say_of_ssh(address + ": unexpected: " + error.what());
        }
        _exit(0);
    }

    /// False at its end.
    bool hear(Child& child) {
        char bytes[16];
        const ssize_t size = read(child.news.get(), bytes, sizeof(bytes));
        for (ssize_t i = 0; i < size; ++i) {
            if (bytes[i] == static_cast<char>(News::kWrongKey)) guests_.note_wrong_key(child.group, Clock::now());
            if (bytes[i] == static_cast<char>(News::kKnown) && !std::exchange(child.known, true))
                guests_.become_known();
        }
        if (size > 0) return true;
        (void)waitpid(child.process, nullptr, 0);
        guests_.leave(child.group, child.known);
        return false;
    }

    Result<void> end_all() {
        listening_.reset();
        for (const Child& child : children_) (void)kill(child.process, SIGTERM);
        for (const Child& child : children_) (void)waitpid(child.process, nullptr, 0);
        return {};
    }

    UniqueFd listening_;
    UniqueFd signals_;
    const sigset_t before_;
    ssh_bind bind_;
    const Endpoint& daemon_;
    Guests guests_;
    std::vector<Child> children_;
};

}  // namespace

Result<UniqueFd> listen_at(const std::string& where) {
    const size_t colon = where.rfind(':');
    std::string host = where.substr(0, colon == std::string::npos ? 0 : colon);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    addrinfo hints{};
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (host.empty() || getaddrinfo(host.c_str(), where.substr(colon + 1).c_str(), &hints, &found) != 0)
        return invalid("--listen: \"" + where + "\" must be ADDRESS:PORT, for example 0.0.0.0:2222 or [::]:2222");
    const Undo free_found([found] { freeaddrinfo(found); });
    UniqueFd socket(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) return errno_error("--listen: making a socket");
    set_option(socket.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    if (bind(socket.get(), found->ai_addr, found->ai_addrlen) != 0 || listen(socket.get(), kBacklog) != 0)
        return errno_error("--listen: " + where);
    return socket;
}

std::string address_of(int socket) {
    sockaddr_storage at{};
    socklen_t size = sizeof(at);
    char host[NI_MAXHOST] = "", port[NI_MAXSERV] = "";
    if (getsockname(socket, reinterpret_cast<sockaddr*>(&at), &size) == 0) {
        (void)getnameinfo(reinterpret_cast<sockaddr*>(&at), size, host, sizeof(host), port, sizeof(port),
                          NI_NUMERICHOST | NI_NUMERICSERV);
    }
    const std::string name = at.ss_family == AF_INET6 ? "[" + std::string(host) + "]" : host;
    return name + ":" + port;
}

Result<void> keep_door(UniqueFd listening, ssh_bind bind, const Endpoint& daemon) {
    sigset_t ending, before;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGINT);
    if (sigprocmask(SIG_BLOCK, &ending, &before) != 0) return errno_error("blocking signals");
    UniqueFd signals(signalfd(-1, &ending, SFD_CLOEXEC));
    if (!signals) return errno_error("watching for signals");
    (void)std::signal(SIGPIPE, SIG_IGN);
    make_room();
    return Door(std::move(listening), std::move(signals), before, bind, daemon).keep();
}

}  // namespace hutch::client
