#pragma once

#include <libssh/callbacks.h>
#include <libssh/libssh.h>

#include <boost/asio/thread_pool.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "client/ssh/login.h"
#include "client/web_socket.h"

namespace hutch::client {

/// What the channels of a connection share.
struct Line {
    boost::asio::io_context& io;
    boost::asio::thread_pool& openers;  ///< of WebSockets
    ssh_session session;
    const Guest& guest;
    std::function<void()> turn;       ///< something can be moved now; for handlers of `io` alone
    std::function<void()> break_off;  ///< the guest does not keep to the protocol
};

/// One channel of an SSH connection, whose other end is a WebSocket of the daemon:
///
///     guest --- ssh_channel ---> unread in libssh, by its window ---> one frame under way --> WebSocket
///     guest <-- ssh_channel <--- unsent_, a message ------------------------------------ <--- WebSocket
///
/// Nothing is read on either side while the other takes no more. One thread.
class Channel : public std::enable_shared_from_this<Channel> {
  public:
    Channel(const Line& line, ssh_channel channel);
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;
    virtual ~Channel();

    /// Moves what can be moved without a wait. Whether something went to the guest.
    bool move();
    /// Nothing is to be moved any more, on either side.
    [[nodiscard]] bool over() const { return !opening_ && (ended_ || (gone_ && box_done_)); }
    /// To be called from time to time: a guest who does not read, so that nobody reads the daemon's pings, is there.
    void stay();
    /// The guest, or its connection, has gone: libssh is not asked for anything any more.
    void lose_guest();

  protected:
    /// The WebSocket is there: nothing has gone over it yet.
    virtual void on_open() {}
    /// It is not, and the channel ends.
    virtual void on_refused(const std::string& why) = 0;
    /// Something of the daemon's that is no bytes for the guest.
    virtual void on_text(const std::string& text) = 0;
    /// The WebSocket has ended.
    virtual void on_broken(const std::string& why) = 0;
    /// The guest has gone. What was begun is to come to its end.
    virtual void on_lost() = 0;
    /// All that the box has said is with the guest, whose channel is closed after this.
    virtual void say_end() = 0;
    /// Text frames of the kind's own, one at a time; "" for none.
    virtual std::string next_text() { return ""; }
    /// Of a frame of output, where its bytes begin, and whether they are errors.
    virtual std::pair<size_t, bool> part(std::string_view) { return {0, false}; }

    /// By another thread, since the box may have to be woken, and others of the guest's channels go on meanwhile.
    void open(const std::string& target);
    [[nodiscard]] bool is_open() const { return socket_.has_value(); }
    void say(const std::string& text);   ///< in on_open
    void finish() { box_done_ = true; }  ///< the box's side is
    void cut();                          ///< the same, and the daemon is told no more
    void complain(const std::string& sentence);

    const Line& line_;
    ssh_channel channel_;
    ssh_channel_callbacks_struct callbacks_{};

  private:
    void take_over(Result<WebSocket> opened);
    bool send_out();
    bool send(std::string_view& bytes, bool errors);
    void take_in();
    void write(bool text, std::string bytes);
    void read_next();
    void take(const ErrorCode& code);

    std::optional<WebSocket> socket_;
    boost::beast::flat_buffer came_;
    std::string_view unsent_;  ///< of came_
    bool unsent_errors_ = false;
    std::string sentence_;  ///< of ours, for the guest's standard error
    std::string_view unsent_sentence_;
    std::string outgoing_;
    size_t unread_ = 0;  ///< bytes of the guest that libssh holds
    bool opening_ = false;
    bool reading_ = false;
    bool writing_ = false;
    bool pinging_ = false;
    bool broken_ = false;      ///< nothing more goes to the daemon
    bool guest_done_ = false;  ///< it has said eof
    bool eof_said_ = false;    ///< that is on its way to the daemon
    bool gone_ = false;
    bool box_done_ = false;
    bool ended_ = false;
};

}  // namespace hutch::client
