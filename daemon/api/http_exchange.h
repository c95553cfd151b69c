#pragma once

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>

#include "daemon/api/exchange.h"
#include "daemon/api/head_bytes.h"
#include "daemon/api/wire.h"
#include "daemon/event.h"
#include "daemon/wire/framing.h"

namespace hutch::daemon {

/// Whether the connection may be used for another request.
enum class Stay { kYes, kNo };

/// One request of a connection, and its answer.
class HttpExchange final : public Exchange {
  public:
    /// `buffer`: what has come and is not used yet; the next request's goes on with it.
    HttpExchange(Wire& wire, boost::beast::flat_buffer& buffer, const Patience& patience, Workers& decoders);

    /// What the client sent: a request, none (it ended or broke), or what is refused.
    struct Head {
        bool whole = false;
        std::optional<Refusal> refusal;
    };
    /// `begun` is called when the first bytes of it are there.
    Task<Head> read_head(std::function<void()> begun);
    /// Fills request(); an error for a target that is none.
    Result<void> understand();
    Task<> send(Response response, Stay stay = Stay::kYes);

    Request& mutable_request() { return request_; }
    /// From now on what it holds counts as its caller's.
    void charge(std::shared_ptr<MemoryBudget> budget) { memory_.emplace(std::move(budget), request_.caller.customer); }
    [[nodiscard]] bool upgraded() const { return upgraded_; }
    /// What is below, for who passes this call on as it is and answers with what comes back: nothing of the body was
    /// read. Tells passed() then.
    using Parser = boost::beast::http::request_parser<boost::beast::http::buffer_body>;
    struct Ends {
        Wire& wire;
        boost::beast::flat_buffer& buffer;
        Parser& parser;
        const Patience& patience;
    };
    [[nodiscard]] Ends ends() { return {wire_, buffer_, parser_, patience_}; }
    /// An answer is on its way to the client: nothing else may be written from now on.
    void answers() { begun_ = true; }
    /// `stays`: the connection does; `unread`: the client may still be sending; `left`: it was found gone.
    void passed(bool stays, bool unread, bool left) {
        stays_ = finished_ = stays;
        passed_unread_ = unread;
        left_ = left_ || left;
    }
    /// A body that was read is there again, or another in its place.
    void give_back(std::string body) { given_back_ = std::move(body); }
    /// The client may still be sending: an answer came before the end of the request.
    [[nodiscard]] bool unread() const { return passed_unread_.value_or(!parser_.is_done()); }
    [[nodiscard]] bool keep_alive() const { return stays_ && finished_; }

    [[nodiscard]] const Request& request() const override { return request_; }
    [[nodiscard]] bool begun() const override { return begun_; }
    [[nodiscard]] bool left() const override { return left_; }
    Task<Result<std::string>> read_some() override;
    Task<Result<std::string>> read_body(size_t limit) override;
    using Exchange::begin;
    Task<Result<void>> begin(int status, const std::string& content_type,
                             std::map<std::string, std::string> headers) override;
    Task<Result<void>> write(std::string_view piece) override;
    Task<Result<void>> end() override;
    Task<Result<void>> finish(Response response) override;
    [[nodiscard]] std::chrono::steady_clock::time_point last_write() const override { return last_write_; }
    Task<> client_gone() override;
    Task<Result<std::unique_ptr<Socket>>> upgrade() override;
    [[nodiscard]] MemoryShare& memory() override { return *memory_; }
    [[nodiscard]] Workers& decoders() override { return decoders_; }

    /// Tells a client whose answer is not there yet that it is being worked on.
    Task<> say_working();
    /// Until nothing of it is being written.
    Task<> settled();

  private:
    /// Whose write it is. A write that is never resumed is destroyed with the event loop, which may be after this.
    struct Turn {
        explicit Turn(const asio::any_io_executor& executor) : freed(executor) {}
        bool taken = false;
        Signal freed;
    };
    [[nodiscard]] std::string head_of(int status, std::map<std::string, std::string> headers) const;
    Task<Result<void>> receive_body();
    Task<Result<void>> put(std::string bytes);
    Task<> send_in_pieces(Response response);

    Wire& wire_;
    boost::beast::flat_buffer& buffer_;
    const Patience& patience_;
    Workers& decoders_;
    std::optional<MemoryShare> memory_;
    boost::beast::http::request_parser<boost::beast::http::buffer_body> parser_;
    Pace pace_;
    Request request_;
    std::optional<Error> broken_;  ///< how a write failed
    std::shared_ptr<Turn> turn_;
    std::chrono::steady_clock::time_point last_write_{};
    bool left_ = false;
    bool old_ = false;  ///< HTTP/1.0, which knows no chunks
    bool continued_ = false;
    bool begun_ = false;
    bool finished_ = false;
    bool stays_ = false;  ///< the connection does, after the answer
    bool upgraded_ = false;
    std::optional<bool> passed_unread_;
    std::optional<std::string> given_back_;
};

}  // namespace hutch::daemon
