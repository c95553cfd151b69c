#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "daemon/async.h"

namespace hutch::daemon {

/// Who calls by TLS, and by whose word the server is who it says: PEM files.
struct FetchIdentity {
    std::string authority;
    std::string certificate;
    std::string key;
};

struct FetchCall {
    std::string method = "GET";          ///< or POST, HEAD, PUT, PATCH, DELETE
    std::string url;                     ///< http or https; goes out as it is
    std::vector<std::string> headers{};  ///< "Name: value"
    std::string body{};
    /// Whether it may go to loopback, private and link-local addresses; only one that is alone can be kept from them.
    bool to_private = true;
    bool alone = false;  ///< has a connection of its own, which ends with it
    long seconds = 0;    ///< in all; 0: as many as it takes, as long as something comes now and then
    /// What is sent instead of `body`, from its beginning: so many bytes of a file, which is read as they go out.
    std::shared_ptr<const UniqueFd> file{};
    int64_t file_bytes = 0;
    std::string authorities{};  ///< a PEM file of those that may vouch for the server, beside the system's; empty: none
    /// Given up when less than a KiB in a second came or went for so many; 0: after ten minutes without a word.
    long slow_seconds = 0;
    std::shared_ptr<const FetchIdentity> identity{};  ///< null: nobody, and by the word of the host's authorities
};

/// A call of somebody else's server whose answer is read as it comes. Giving it up breaks the call off. Event loop
/// thread only.
class Fetch {
  public:
    struct Head {
        int64_t status = 0;
        std::vector<std::pair<std::string, std::string>> headers;  ///< names in lower case
    };
    struct Call;

    explicit Fetch(std::shared_ptr<Call> call) : call_(std::move(call)) {}
    ~Fetch();
    Fetch(Fetch&&) = default;
    Fetch(const Fetch&) = delete;
    Fetch& operator=(const Fetch&) = delete;
    Fetch& operator=(Fetch&&) = delete;

    /// kConflict when the server cannot be reached.
    Task<Result<Head>> head();
    /// The next piece of the body; empty at its end. An error when it breaks off before. Who reads slowly slows the
    /// server down: at most 256 KiB waits here.
    Task<Result<std::string>> read();

  private:
    std::shared_ptr<Call> call_;
};

/// Makes such calls, on one thread of its own: TLS and certificates are work that must not keep the event loop.
class Fetcher {
  public:
    static Result<Fetcher> open(const asio::any_io_executor& executor);
    Fetcher(Fetcher&&) = default;
    Fetcher(const Fetcher&) = delete;
    Fetcher& operator=(const Fetcher&) = delete;
    Fetcher& operator=(Fetcher&&) = delete;
    ~Fetcher();

    Fetch start(FetchCall call);

    struct Thread;

  private:
    explicit Fetcher(std::shared_ptr<Thread> thread) : thread_(std::move(thread)) {}
    std::shared_ptr<Thread> thread_;
};

}  // namespace hutch::daemon
