#include "client/ssh/channel.h"

#include <array>

namespace hutch::client {
namespace asio = boost::asio;
namespace {

constexpr size_t kMostAtOnce = size_t{32} << 10;
// libssh keeps what comes beyond the window it has granted (1.28 MB), so somebody has to look.
constexpr size_t kMostUnread = size_t{4} << 20;
constexpr size_t kMostMessage = size_t{4} << 20;  // of the daemon, which sends far less

}  // namespace

Channel::Channel(const Line& line, ssh_channel channel) : line_(line), channel_(channel) {
    ssh_callbacks_init(&callbacks_);
    callbacks_.userdata = this;
    callbacks_.channel_data_function = [](ssh_session, ssh_channel, void*, uint32_t size, int errors, void* self) {
        auto& that = *static_cast<Channel*>(self);
        if (errors != 0 || that.gone_ || that.ended_) return static_cast<int>(size);
        that.unread_ = size;
        if (size > kMostUnread) that.line_.break_off();
        return 0;
    };
    callbacks_.channel_eof_function = [](ssh_session, ssh_channel, void* self) {
        static_cast<Channel*>(self)->guest_done_ = true;
    };
    callbacks_.channel_close_function = [](ssh_session, ssh_channel, void* self) {
        static_cast<Channel*>(self)->lose_guest();
    };
    ssh_set_channel_callbacks(channel_, &callbacks_);
}

Channel::~Channel() {
    ssh_remove_channel_callbacks(channel_, &callbacks_);
    ssh_channel_free(channel_);
}

void Channel::open(const std::string& target) {
    opening_ = true;
    asio::post(line_.openers, [self = shared_from_this(), target, busy = asio::make_work_guard(line_.io)]() mutable {
        auto opened = open_web_socket(self->line_.io, self->line_.guest.endpoint, target);
        // With `self`, so that the last one is let go of by the loop's thread, which libssh wants.
        asio::io_context& io = self->line_.io;
        asio::post(
            io, [self = std::move(self), opened = std::move(opened)]() mutable { self->take_over(std::move(opened)); });
    });
}

void Channel::take_over(Result<WebSocket> opened) {
    opening_ = false;
    if (opened.ok() && !gone_) {
        socket_.emplace(std::move(opened).value());
        socket_->read_message_max(kMostMessage);
        on_open();
    } else {
        if (!opened.ok() && !gone_) on_refused(opened.error().message);
        box_done_ = broken_ = true;
    }
    line_.turn();
}

// What does not arrive is noticed by the side that reads.
void Channel::say(const std::string& text) {
    ErrorCode ignored;
    socket_->text(true);
    socket_->write(asio::buffer(text), ignored);
}

void Channel::complain(const std::string& sentence) {
    sentence_ = "hutch-ssh: " + sentence + "\r\n";
    unsent_sentence_ = sentence_;
}

void Channel::cut() {
    box_done_ = broken_ = true;
    if (socket_) socket_->next_layer().break_off();
}

void Channel::lose_guest() {
    if (gone_ || ended_) return;
    gone_ = true;
    on_lost();
}

bool Channel::move() {
    if (over()) return false;
    bool moved = send_out();
    take_in();
    if (!gone_ && box_done_ && unsent_.empty() && unsent_sentence_.empty()) {
        say_end();
        ssh_channel_send_eof(channel_);
        ssh_channel_close(channel_);
        cut();
        moved = ended_ = true;
    }
    return moved;
}

void Channel::stay() {
    if (!socket_ || reading_ || broken_ || std::exchange(pinging_, true)) return;
    socket_->async_ping({}, [self = shared_from_this()](const ErrorCode&) { self->pinging_ = false; });
}

// --- out of the box ---

bool Channel::send_out() {
    bool moved = false;
    if (gone_) unsent_ = unsent_sentence_ = {};
    while (!unsent_.empty() || !unsent_sentence_.empty()) {
        const bool ours = unsent_.empty();
        if (!send(ours ? unsent_sentence_ : unsent_, ours || unsent_errors_)) return moved;
        moved = true;
    }
    read_next();
    return moved;
}

// What the connection has not taken yet would be kept by libssh, however large a window the guest grants: the next
// piece waits for that.
bool Channel::send(std::string_view& bytes, bool errors) {
    if ((ssh_get_poll_flags(line_.session) & SSH_WRITE_PENDING) != 0) return false;
    const size_t size = std::min({bytes.size(), size_t{ssh_channel_window_size(channel_)}, kMostAtOnce});
    if (size == 0) return false;
    const auto length = static_cast<uint32_t>(size);
    const int sent = errors ? ssh_channel_write_stderr(channel_, bytes.data(), length)
                            : ssh_channel_write(channel_, bytes.data(), length);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
    return true;
}

void Channel::read_next() {
    if (!socket_ || reading_ || box_done_) return;
    reading_ = true;
    came_.consume(came_.size());
    socket_->async_read(came_, [self = shared_from_this()](const ErrorCode& code, size_t) { self->take(code); });
}

void Channel::take(const ErrorCode& code) {
    reading_ = false;
    const auto data = came_.cdata();
    const std::string_view bytes(static_cast<const char*>(data.data()), data.size());
    if (code) {
        broken_ = true;
        if (!box_done_) on_broken(code.message());
        box_done_ = true;
    } else if (socket_->got_text()) {
        on_text(std::string(bytes));
    } else {
        const auto [begin, errors] = part(bytes);
        unsent_ = bytes.substr(std::min(begin, bytes.size()));
        unsent_errors_ = errors;
    }
    line_.turn();
}

// --- into the box ---

void Channel::take_in() {
    if (!socket_ || writing_ || broken_ || gone_) return;
    if (std::string text = next_text(); !text.empty()) return write(true, std::move(text));
    if (unread_ > 0) {
        std::string bytes(std::min(unread_, kMostAtOnce), '\0');
        const int size = ssh_channel_read_nonblocking(channel_, bytes.data(), static_cast<uint32_t>(bytes.size()), 0);
        if (size <= 0) return;
        bytes.resize(static_cast<size_t>(size));
        unread_ -= std::min(unread_, bytes.size());
        return write(false, std::move(bytes));
    }
    if (!guest_done_ || eof_said_) return;
    eof_said_ = true;
    write(true, R"({"eof":true})");
}

void Channel::write(bool text, std::string bytes) {
    writing_ = true;
    outgoing_ = std::move(bytes);
    socket_->text(text);
    socket_->async_write(asio::buffer(outgoing_), [self = shared_from_this()](const ErrorCode& code, size_t) {
        self->writing_ = false;
        if (code) self->broken_ = true;  // the side that reads learns why, and perhaps the end first
        self->line_.turn();
    });
}

}  // namespace hutch::client
