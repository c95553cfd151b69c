#include "bench/api.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <spawn.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/file.h"

namespace hutch::bench {
namespace {

[[noreturn]] void die(const std::string& what) {
    fprintf(stderr, "bench: %s\n", what.c_str());
    exit(1);
}

void run_shell(const std::string& command) {
    if (system(command.c_str()) != 0) die("failed: " + command);
}

sockaddr_in on_loopback(uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/// One that nobody listens on now.
uint16_t free_port() {
    const UniqueFd probe(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = on_loopback(0);
    socklen_t size = sizeof(address);
    if (bind(probe.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        getsockname(probe.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
        die("looking for a port");
    return ntohs(address.sin_port);
}

}  // namespace

Api::Api(const std::string& socket_path) : socket_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    strncpy(address.sun_path, socket_path.c_str(), sizeof(address.sun_path) - 1);
    if (connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0)
        die("connecting to " + socket_path);
}

Api::Api(uint16_t port, const std::string& key) : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    headers_ += "X-Box-Api-Key: " + key + "\r\n";
    const sockaddr_in address = on_loopback(port);
    const int on = 1;
    setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) die("connecting");
}

void Api::send(const std::string& method, const std::string& path, const std::string& body) {
    const std::string request = method + " " + path + " HTTP/1.1\r\n" + headers_ +
                                "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    if (!write_all(socket_.get(), request).ok()) die("writing a request");
}

void Api::receive(std::string& into) {
    char buffer[16384];
    const ssize_t n = read(socket_.get(), buffer, sizeof(buffer));
    if (n <= 0) die("reading an answer");
    into.append(buffer, static_cast<size_t>(n));
}

void Api::open(const std::string& method, const std::string& path, const std::string& body) {
    send(method, path, body);
    await("\r\n\r\n");
}

void Api::await(const std::string& text) {
    size_t at = std::string::npos;
    while ((at = streamed_.find(text)) == std::string::npos) receive(streamed_);
    streamed_.erase(0, at + text.size());
}

std::pair<int, std::string> Api::ask(const std::string& method, const std::string& path, const std::string& body) {
    send(method, path, body);
    std::string answer;
    size_t head = std::string::npos;
    size_t length = 0;
    while (head == std::string::npos || answer.size() < head + 4 + length) {
        receive(answer);
        if (head == std::string::npos && (head = answer.find("\r\n\r\n")) != std::string::npos) {
            const size_t at = answer.find("Content-Length: ");
            length = at < head ? strtoul(answer.c_str() + at + 16, nullptr, 10) : 0;
        }
    }
    return {atoi(answer.c_str() + 9), answer.substr(head + 4)};
}

std::string Api::call(const std::string& method, const std::string& path, const std::string& body, int expected) {
    auto [status, answer] = ask(method, path, body);
    if (status != expected) die(method + " " + path + ": " + std::to_string(status) + " " + answer);
    return std::move(answer);
}

void Api::ask_last(const std::string& method, const std::string& path, const std::string& body) {
    headers_ += "Connection: close\r\n";
    send(method, path, body);
    char dropped[65536];
    while (read(socket_.get(), dropped, sizeof(dropped)) > 0) {
    }
}

Daemon::Daemon() {
    char name[] = "/var/tmp/hutch-bench-XXXXXX";
    if (mkdtemp(name) == nullptr) die("making a directory in /var/tmp");
    directory_ = name;
    socket_ = directory_ + "/hutch.sock";
    rootfs_ = directory_ + "/rootfs";
    run_shell("mkdir -p " + rootfs_ + " && " HUTCH_IMAGES "/busybox | tar -x -C " + rootfs_ +
              " && cp " HUTCH_PROBE " " + rootfs_ + "/bin/probe && tar -C " + rootfs_ + " -cf " + directory_ +
              "/rootfs.tar .");
    port_ = free_port();
    run_shell("umask 077 && echo '" + key_ + "' >" + directory_ + "/keys");
    start();
    run_shell("HUTCH_HOST=unix://" + socket_ + " " HUTCH_PATH " image import busybox " + directory_ +
              "/rootfs.tar >/dev/null");
}

void Daemon::crash() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
}

void Daemon::settle() const {
    const UniqueFd watch(inotify_init1(IN_CLOEXEC));
    const std::string path = directory_ + "/state/store/trash";
    const UniqueFd trash(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!watch || !trash || inotify_add_watch(watch.get(), path.c_str(), IN_DELETE) < 0) die("watching " + path);
    for (;;) {
        const auto empty = holds_nothing(trash.get());
        if (!empty.ok()) die(empty.error().message);
        if (empty.value()) return;
        char events[4096];
        if (read(watch.get(), events, sizeof(events)) <= 0) die("watching " + path);
    }
}

void Daemon::start() {
    int ready[2];
    if (pipe2(ready, O_CLOEXEC) != 0) die("making a pipe");
    const std::string program = HUTCHD_PATH;
    const std::string listen = "127.0.0.1:" + std::to_string(port_);
    const std::string options[] = {program,
                                   "--name",
                                   "hutchb",
                                   "--state_dir",
                                   directory_ + "/state",
                                   "--run_dir",
                                   directory_ + "/run",
                                   "--listen",
                                   listen,
                                   "--api_key_file",
                                   directory_ + "/keys",
                                   "--socket",
                                   socket_,
                                   "--network",
                                   "198.19.32.0/20",
                                   "--default_image",
                                   "busybox",
                                   "--pool",
                                   "32"};
    std::vector<char*> arguments;
    for (const std::string& option : options) arguments.push_back(const_cast<char*>(option.c_str()));
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ready[1], 2);
    if (posix_spawn(&pid_, program.c_str(), &actions, nullptr, arguments.data(), environ) != 0)
        die("starting " + program);
    close(ready[1]);
    std::string log;
    while (log.find("listening on " + listen) == std::string::npos) {
        char buffer[4096];
        const ssize_t n = read(ready[0], buffer, sizeof(buffer));
        if (n <= 0) die("hutchd did not start: " + log);
        log.append(buffer, static_cast<size_t>(n));
    }
    // The log pipe stays open and unread: the daemon says little, and a full pipe would be seen as a hang here.
}

Daemon::~Daemon() {
    kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
    // A daemon that ends leaves both for the next one; after this one there is none.
    run_shell("nft delete table inet hutchb && find /sys/fs/cgroup -depth -type d -name hutchb -delete");
    (void)remove_tree_at(AT_FDCWD, directory_);
}

Daemon& daemon() {
    static Daemon the_daemon;
    return the_daemon;
}

std::string field(const std::string& json, const std::string& key) {
    const size_t at = json.find("\"" + key + "\":");
    if (at == std::string::npos) die("no " + key + " in " + json);
    size_t begin = at + key.size() + 3;
    if (json[begin] == '"') ++begin;
    return json.substr(begin, json.find_first_of("\",}", begin) - begin);
}

}  // namespace hutch::bench
