#pragma once

#include <boost/beast/core/flat_buffer.hpp>
#include <optional>

#include "daemon/api/patience.h"
#include "daemon/preview/dial.h"
#include "daemon/preview/previews.h"
#include "daemon/proxy/body.h"

namespace hutch::daemon {

/// In what a client is told that may come again.
inline constexpr const char* kRetryLater = "Retry-After: 5\r\n";

/// What a client is told in place of an answer of the box.
struct Refused {
    Refused() = default;
    Refused(int its_status, std::string its_sentence, std::string more = "")
        : status(its_status), sentence(std::move(its_sentence)), fields(std::move(more)) {}
    int status = 503;
    std::string sentence;
    std::string fields;  ///< more of the head, whole lines
};

/// One request on its way into a box, and its answer on the way out: wakes the box, waits for the port, and carries
/// both, each as fast as the slower side takes it.
class Passage {
  public:
    using RequestParser = boost::beast::http::request_parser<boost::beast::http::buffer_body>;
    struct Ends {
        Wire& client;
        boost::beast::flat_buffer& unread;  ///< of the client
        RequestParser& request;             ///< its head, parsed
        Previews& previews;
        Dialer& dialer;
        const Patience& patience;
    };
    Passage(Ends ends, Previews::Found found, Arrival arrival);

    /// How it went: the connection stays for another request, or ends; nothing was answered yet, and this is to be.
    struct End {
        End() = default;
        explicit End(Refused why) : refused(std::move(why)) {}
        bool stays = false;
        bool gone = false;  ///< the client has left, or is to be left without more words
        std::optional<Refused> refused;
        static End with_client_gone() {
            End end;
            end.gone = true;
            return end;
        }
    };
    /// `untied`: called when what follows has no end of its own, so that nobody waits for it.
    Task<End> go(std::function<void()> untied);
    /// The client may still be sending: an answer came before the end of the request.
    [[nodiscard]] bool unread() const { return !body_.done(); }

  private:
    using AnswerParser = boost::beast::http::response_parser<boost::beast::http::buffer_body>;
    Task<std::optional<End>> enter();
    Task<End> go_by_web_socket();
    Task<> upload();
    Task<Result<void>> put(std::string_view bytes);
    Task<Result<void>> read_head();
    Result<void> understand_head();
    Task<Result<void>> answer();
    Task<Result<void>> send_answer();
    Task<Result<void>> pass_on(Body<false>& body, Wire::Pipe pipe);
    Task<> carry_in(std::string begin);
    Task<> carry_out(std::string begin);
    Task<Result<void>> give(std::string_view bytes);
    [[nodiscard]] End end_of(const std::optional<Result<void>>& answered) const;

    std::function<void()> untied_;
    Ends ends_;
    Previews::Found found_;
    Arrival arrival_;
    BodyFraming framing_;
    Body<true> body_;
    std::optional<Box::Use> use_;  ///< until the head of the answer is there
    std::optional<Wire> box_;
    boost::beast::flat_buffer from_box_;
    std::optional<AnswerParser> answer_;
    BodyFraming answer_framing_;
    std::optional<Error> bad_body_;  ///< of the request
    bool begun_ = false;             ///< something of the answer is with the client
    bool stays_ = false;
    bool finished_ = false;
};

}  // namespace hutch::daemon
