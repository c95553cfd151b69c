#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "base/unique_fd.h"

namespace hutch::bench {

/// A kept-alive connection to hutchd, with nothing between the clock and the wire.
class Api {
  public:
    explicit Api(const std::string& socket_path);
    /// Over TCP, on 127.0.0.1.
    Api(uint16_t port, const std::string& key);
    /// The answer's body; ends the program when the status is not `expected`.
    std::string call(const std::string& method, const std::string& path, const std::string& body, int expected);
    /// The answer's status and its body, which must have a Content-Length.
    std::pair<int, std::string> ask(const std::string& method, const std::string& path, const std::string& body);
    /// Reads an answer of any kind and drops it. The connection ends with it.
    void ask_last(const std::string& method, const std::string& path, const std::string& body);

    /// A call whose answer streams: returns when it has begun. No other may follow on this connection.
    void open(const std::string& method, const std::string& path, const std::string& body);
    /// Reads on until `text` has come, once more than before.
    void await(const std::string& text);

  private:
    void send(const std::string& method, const std::string& path, const std::string& body);
    void receive(std::string& into);

    UniqueFd socket_;
    std::string streamed_;  ///< and not awaited yet
    std::string headers_ = "Host: hutch\r\n";
};

/// A hutchd of the bench's own, with a busybox image; ended, and its state removed, with this object.
class Daemon {
  public:
    Daemon();
    ~Daemon();
    Daemon(const Daemon&) = delete;
    Daemon& operator=(const Daemon&) = delete;
    [[nodiscard]] const std::string& socket() const { return socket_; }
    [[nodiscard]] uint16_t port() const { return port_; }
    [[nodiscard]] const std::string& key() const { return key_; }
    [[nodiscard]] pid_t pid() const { return pid_; }
    /// As by kill -9: its boxes go on.
    void crash();
    /// The next one on the same state; returns when it serves.
    void start();
    /// Returns when what was deleted before is gone from the disk, and no longer in the way of what is measured next.
    void settle() const;
    /// The image's tree on the host, for the floor to stand on.
    [[nodiscard]] const std::string& rootfs() const { return rootfs_; }

  private:
    std::string directory_;
    std::string socket_;
    std::string rootfs_;
    std::string key_ = "a key of the bench alone";
    uint16_t port_ = 0;
    pid_t pid_ = -1;
};

/// The one this program uses.
Daemon& daemon();

/// "key":"value" or "key":number of a flat JSON answer, as text.
std::string field(const std::string& json, const std::string& key);

}  // namespace hutch::bench
