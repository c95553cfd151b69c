#pragma once

#include <boost/beast/core/flat_buffer.hpp>
#include <optional>

#include "daemon/api/patience.h"
#include "daemon/proxy/body.h"
#include "daemon/proxy/far.h"

namespace hutch::daemon {

/// One request on its way to a server, and its answer on the way back: carries both, each as fast as the slower side
/// takes it. On a connection of its own, so that no answer, however it is framed, is taken for that of another; unless
/// its Far keeps connections, for one that may hear the answers of all of them anyway.
class Passage {
  public:
    using RequestParser = boost::beast::http::request_parser<boost::beast::http::buffer_body>;
    struct Ends {
        Wire& client;
        boost::beast::flat_buffer& unread;  ///< of the client
        RequestParser& request;             ///< its head, parsed
        Far& far;
        const Patience& patience;
    };
    /// `web_socket`: the request asks for one.
    Passage(Ends ends, bool web_socket);

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
    Task<std::optional<End>> enter(bool anew);
    Task<std::optional<End>> connect();
    [[nodiscard]] bool met_a_closed_one() const;
    void leave();
    Task<End> go_by_web_socket();
    Task<> upload();
    Task<Result<void>> pass_in();
    Task<> given_up();
    Task<Result<void>> put(std::string_view bytes);
    Task<Result<void>> read_head();
    Result<void> understand_head();
    Task<Result<void>> answer();
    Task<Result<void>> send_answer();
    Task<Result<void>> pass_on(Body<false>& body, Wire::Pipe pipe);
    Task<> carry_there(std::string begin);
    Task<> carry_back(std::string begin);
    Task<Result<void>> give(std::string_view bytes);
    [[nodiscard]] Error no_answer(const std::string& what) const;
    [[nodiscard]] End end_of(const std::optional<Result<void>>& answered) const;

    std::function<void()> untied_;
    Ends ends_;
    bool web_socket_;
    BodyFraming framing_;
    Pace pace_;
    Body<true> body_;
    std::optional<Wire> server_;
    boost::beast::flat_buffer from_server_;
    std::optional<AnswerParser> answer_;
    BodyFraming answer_framing_;
    std::optional<Error> bad_body_;  ///< of the request
    bool reused_ = false;            ///< the connection has carried another request before
    bool came_ = false;              ///< something of the answer is here
    bool sent_ = false;              ///< the server has all of the request
    bool late_ = false;              ///< the answer, so that it is not waited for any more
    bool heard_ = false;             ///< the head of the answer is there
    bool begun_ = false;             ///< something of the answer is with the client
    bool stays_ = false;
    bool finished_ = false;
};

}  // namespace hutch::daemon
