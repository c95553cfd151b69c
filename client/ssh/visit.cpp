#include "client/ssh/visit.h"

#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <list>

#include "base/file.h"
#include "base/undo.h"
#include "client/ssh/command_channel.h"
#include "client/ssh/port_channel.h"

namespace hutch::client {
namespace asio = boost::asio;
namespace {

constexpr unsigned kLoginSeconds = 20;
constexpr size_t kMostChannels = 128;
constexpr size_t kOpeners = 4;                 // threads
constexpr std::chrono::seconds kFarewell{10};  // for commands to end whose guest has gone

/// The connection of a guest who has logged in: its channels, and libssh, turned by one loop.
class Connected {
  public:
    Connected(asio::io_context& io, ssh_session session, ssh_event event, Guest guest, UniqueFd watched)
        : io_(io),
          session_(session),
          event_(event),
          guest_(std::move(guest)),
          line_{io, openers_, session, guest_, [this] { turn(); }, [this] { ended_ = true; }},
          socket_(io, watched.release()),
          stop_(io, SIGTERM),
          minute_(io) {
        ssh_callbacks_init(&callbacks_);
        callbacks_.userdata = this;
        callbacks_.channel_open_request_session_function = [](ssh_session, void* self) {
            return static_cast<Connected*>(self)->open_session();
        };
        ssh_set_server_callbacks(session_, &callbacks_);
        ssh_set_message_callback(
            session_,
            [](ssh_session, ssh_message message, void* self) { return static_cast<Connected*>(self)->answer(message); },
            this);
        ssh_set_blocking(session_, 0);
    }
    Connected(const Connected&) = delete;
    Connected& operator=(const Connected&) = delete;
    ~Connected() {
        channels_.clear();
        ssh_set_message_callback(session_, nullptr, nullptr);
        ssh_set_server_callbacks(session_, nullptr);
    }

    void run() {
        stop_.async_wait([this](const ErrorCode& code, int) {
            if (!code) end();
        });
        stay();
        turn();
        if (!left_) io_.run();
        io_.restart();
        see_off();
        io_.run_for(kFarewell);
    }

  private:
    /// Until nothing moves without a wait: libssh's turn, then each channel's.
    void turn() {
        if (left_) return see_off();
        for (bool moved = true; moved;) {
            if (ssh_event_dopoll(event_, 0) == SSH_ERROR || ssh_is_connected(session_) == 0 || ended_) return end();
            moved = false;
            for (const auto& channel : channels_) moved = channel->move() || moved;
            channels_.remove_if([](const auto& channel) { return channel->over(); });
        }
        wait();
    }

    // While a guest takes nothing nothing is read of it: libssh keeps every answer, however many it asks for.
    void wait() {
        const bool full = (ssh_get_poll_flags(session_) & SSH_WRITE_PENDING) != 0;
        if (!full && !std::exchange(reads_, true)) {
            socket_.async_wait(asio::posix::descriptor_base::wait_read, [this](const ErrorCode& code) {
                reads_ = false;
                if (!code) turn();
            });
        }
        if (full && !std::exchange(writes_, true)) {
            socket_.async_wait(asio::posix::descriptor_base::wait_write, [this](const ErrorCode& code) {
                writes_ = false;
                if (!code) turn();
            });
        }
    }

    // hutchd gives a connection up that says nothing for five minutes.
    void stay() {
        for (const auto& channel : channels_) channel->stay();
        minute_.expires_after(std::chrono::minutes(1));
        minute_.async_wait([this](const ErrorCode& code) {
            if (!code) stay();
        });
    }

    void end() {
        if (std::exchange(left_, true)) return;
        for (const auto& channel : channels_) channel->lose_guest();
        io_.stop();
    }

    void see_off() {
        for (const auto& channel : channels_) channel->move();
        channels_.remove_if([](const auto& channel) { return channel->over(); });
        if (channels_.empty()) io_.stop();
    }

    ssh_channel open_session() {
        if (channels_.size() >= kMostChannels) return nullptr;
        ssh_channel channel = ssh_channel_new(session_);
        if (channel != nullptr) channels_.push_back(std::make_shared<CommandChannel>(line_, channel));
        return channel;
    }

    // 0: answered. 1: libssh refuses it: forwards from the box's side, X11, agents and whatever else there may be.
    int answer(ssh_message message) {
        if (ssh_message_type(message) != SSH_REQUEST_CHANNEL_OPEN) return 1;
        if (ssh_message_subtype(message) != SSH_CHANNEL_DIRECT_TCPIP) return 1;
        const char* host = ssh_message_channel_request_open_destination(message);
        const auto dialled = dial(message, host == nullptr ? "" : host);
        if (dialled.ok()) return 0;
        // libssh says no reason with its refusal; ssh -v shows this.
        ssh_send_debug(session_, dialled.error().message.c_str(), 1);
        return 1;
    }

    Result<void> dial(ssh_message message, const std::string& host) {
        if (channels_.size() >= kMostChannels) return invalid("too many channels are open on this connection");
        if (!is_box_itself(host, guest_))
            return invalid("forwards lead to ports of the box itself: use localhost, 127.0.0.1 or " + guest_.name);
        ssh_channel channel = ssh_channel_new(session_);
        if (channel == nullptr) return errno_error("opening a channel", ENOMEM);
        const auto port = std::make_shared<PortChannel>(line_, channel);
        if (ssh_message_channel_request_open_reply_accept_channel(message, channel) != SSH_OK) return {};
        port->dial(ssh_message_channel_request_open_destination_port(message));
        channels_.push_back(port);
        return {};
    }

    asio::io_context& io_;
    ssh_session session_;
    ssh_event event_;
    const Guest guest_;
    const Line line_;
    asio::thread_pool openers_{kOpeners};  // ended before what its threads use
    asio::posix::stream_descriptor socket_;
    asio::signal_set stop_;
    asio::steady_timer minute_;
    ssh_server_callbacks_struct callbacks_{};
    std::list<std::shared_ptr<Channel>> channels_;
    bool reads_ = false;
    bool writes_ = false;
    bool ended_ = false;  ///< it is to
    bool left_ = false;
};

Result<void> serve_session(const Visit& visit, ssh_session session, ssh_event event, UniqueFd connection) {
    UniqueFd watched = TRY(duplicate(connection.get()));
    if (ssh_bind_accept_fd(visit.bind, session, connection.get()) != SSH_OK)
        return Error{ErrorKind::kSystem, 0, std::string("libssh: ") + ssh_get_error(visit.bind)};
    (void)connection.release();  // the session's now
    alarm(kLoginSeconds);
    Guest guest = TRY(log_in(session, event, visit.daemon, [&visit] { visit.tell(News::kWrongKey); }));
    alarm(0);
    visit.tell(News::kKnown);
    say_of_ssh(visit.address + " is in box " + guest.box);
    asio::io_context io;
    Connected(io, session, event, std::move(guest), std::move(watched)).run();
    return {};
}

}  // namespace

void serve_visit(const Visit& visit, UniqueFd connection) {
    ssh_session session = ssh_new();
    const Undo free_session([session] { ssh_free(session); });
    ssh_event event = ssh_event_new();
    const Undo free_event([event] { ssh_event_free(event); });
    const auto served = serve_session(visit, session, event, std::move(connection));
    if (!served.ok()) say_of_ssh(visit.address + ": " + served.error().message);
}

void say_of_ssh(const std::string& sentence) {
    (void)write_all(STDERR_FILENO, "hutch-ssh: " + sentence + "\n");
}

}  // namespace hutch::client
