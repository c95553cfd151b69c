#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "daemon/async.h"
#include "daemon/memory_budget.h"
#include "daemon/workers.h"

namespace hutch::daemon {

/// Who asks. Peer credentials decide on the Unix socket, the API key on TCP.
struct Caller {
    std::string customer;
    /// Of the host: who may use the Unix socket. Makes keys, lists what is others', and reaches it by id.
    bool is_operator = false;
    std::string who{};  ///< for the log: a customer by its key, a user of the host
};

struct Request {
    std::string method;
    std::string target;  ///< as it was sent
    std::string path;    ///< of that, decoded, without the query
    std::map<std::string, std::string> query;
    std::map<std::string, std::string> headers;  ///< names in lower case
    Caller caller;
    std::string address{};  ///< over TCP: whence it came

    [[nodiscard]] std::string header(const std::string& name) const {
        const auto found = headers.find(name);
        return found == headers.end() ? std::string() : found->second;
    }
    /// What it proves itself by: the value of this header or else the token of "Authorization: Bearer TOKEN", whose
    /// scheme may be written in any case (RFC 9110, 11.1). Empty where there is neither.
    [[nodiscard]] std::string credential(const std::string& name) const;
};

struct Response {
    int status = 200;
    std::string body = "{}";
    std::string content_type = "application/json";
    std::map<std::string, std::string> headers = {};
    /// What follows `body`, piece by piece, empty at its end: of an answer that takes long to write. Called by a thread
    /// that is not the event loop's.
    std::function<std::string()> rest = {};
};

inline std::string Request::credential(const std::string& name) const {
    constexpr std::string_view kScheme = "bearer ";
    std::string value = header(name);
    const std::string bearer = header("authorization");
    if (value.empty() && lower(bearer.substr(0, kScheme.size())) == kScheme) value = bearer.substr(kScheme.size());
    return value;
}

/// There is nobody to be answered any more.
inline Error client_left(const std::string& how = "left") {
    return {ErrorKind::kSystem, ECONNRESET, "client: " + how};
}

/// A WebSocket after its handshake.
class Socket {
  public:
    virtual ~Socket() = default;
    struct Frame {
        bool text = false;
        std::string data;
    };
    /// An error when the peer has closed or gone.
    virtual Task<Result<Frame>> read() = 0;
    virtual Task<Result<void>> write(bool text, std::string_view data) = 0;
    /// Done when the peer has closed, for who reads no further now.
    virtual Task<> hung_up() = 0;
    virtual Task<> close() = 0;
};

/// One request and the way to answer it. HTTP as a protocol ends behind this interface.
class Exchange {
  public:
    virtual ~Exchange() = default;
    [[nodiscard]] virtual const Request& request() const = 0;
    /// The next piece of the request's body as it arrives; empty at its end.
    virtual Task<Result<std::string>> read_some() = 0;
    /// The whole body; kTooLarge above `limit` bytes.
    virtual Task<Result<std::string>> read_body(size_t limit) = 0;
    /// An answer whose end is not known yet: begin, any number of writes, end. A write is done when the kernel has
    /// taken the bytes, so a slow client slows its producer down. One waits for the other.
    virtual Task<Result<void>> begin(int status, const std::string& content_type,
                                     std::map<std::string, std::string> headers) = 0;
    Task<Result<void>> begin(int status, const std::string& content_type) { return begin(status, content_type, {}); }
    virtual Task<Result<void>> write(std::string_view piece) = 0;
    virtual Task<Result<void>> end() = 0;
    /// The rest of an answer of which only the beginning, blanks, was written: that it would be this was not known yet.
    virtual Task<Result<void>> finish(Response response) = 0;
    [[nodiscard]] virtual bool begun() const = 0;
    /// When something was written last.
    [[nodiscard]] virtual std::chrono::steady_clock::time_point last_write() const = 0;
    /// The client was found gone, by a read, a write or client_gone(): what is answered now goes nowhere.
    [[nodiscard]] virtual bool left() const = 0;
    /// Done when the client has gone away, which a command that writes nothing would never learn. For use after the
    /// request's body was read; may be cancelled.
    virtual Task<> client_gone() = 0;
    /// kInvalid when the request is no WebSocket handshake.
    virtual Task<Result<std::unique_ptr<Socket>>> upgrade() = 0;

    /// What this request holds of its customer's memory: its body as far as it has come, and its answer while it is
    /// made.
    [[nodiscard]] virtual MemoryShare& memory() = 0;
    /// The threads for work that grows with a client's bytes.
    [[nodiscard]] virtual Workers& decoders() = 0;
    /// Does `work` on so many bytes: at once when they are few, else on another thread.
    template <typename F>
    Task<std::invoke_result_t<F>> decode(size_t bytes, F work) {
        if (bytes <= kFewBytes) co_return work();
        co_return co_await decoders().run(std::move(work));
    }
    static constexpr size_t kFewBytes = 32 * 1024;  ///< less than a millisecond's work, whatever they are

    /// Notes what this call is about, by id, for the line in the log that says who changed what.
    void concern(const std::string& id) {
        constexpr size_t kMost = 100;
        if (concerned_.size() < kMost && (concerned_.empty() || concerned_.back() != id)) concerned_.push_back(id);
    }
    [[nodiscard]] const std::vector<std::string>& concerned() const { return concerned_; }

  private:
    std::vector<std::string> concerned_;
};

}  // namespace hutch::daemon
