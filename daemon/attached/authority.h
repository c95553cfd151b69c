#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/result.h"
#include "daemon/event.h"

namespace boost::asio::ssl {
class context;
}

namespace hutch::daemon {

/// An authority as it is kept, as PEM.
struct AuthorityFiles {
    std::string key;
    std::string certificate;
};
/// A new one, for ten years. Some 0.3 ms.
Result<AuthorityFiles> make_authority(const std::string& name);
/// "1a2b3c4d": what OpenSSL looks for a certificate in a directory by.
Result<std::string> subject_hash(const std::string& certificate);

/// One box's authority at work: it signs certificates of hosts, for that box alone. Its key never leaves the daemon.
/// Thread-safe.
class Authority {
  public:
    static constexpr size_t kMostKept = 256;  ///< contexts

    static Result<std::shared_ptr<Authority>> open(const AuthorityFiles& files);
    ~Authority();
    Authority(const Authority&) = delete;
    Authority& operator=(const Authority&) = delete;

    /// For a server that shows to be `host` (in lower case, as Opening::name), in HTTP/1.1 alone. Made at its first
    /// use, 0.3 ms, and made anew before it is too old.
    Result<std::shared_ptr<boost::asio::ssl::context>> context_of(const std::string& host);

  private:
    struct Keys;
    explicit Authority(std::unique_ptr<Keys> keys);
    [[nodiscard]] Result<std::shared_ptr<boost::asio::ssl::context>> make_context(const std::string& host) const;

    struct Kept {
        std::shared_ptr<boost::asio::ssl::context> context;
        std::chrono::steady_clock::time_point made;
    };
    const std::unique_ptr<Keys> keys_;
    std::mutex mutex_;
    std::map<std::string, Kept> kept_;
};

}  // namespace hutch::daemon
