#include "client/run_output.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <thread>
#include <utility>

#include "base/file.h"
#include "client/format.h"
#include "client/frames.h"
#include "client/relay.h"

namespace hutch::client {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kPatience{60};  // for a daemon to come back
constexpr std::chrono::milliseconds kFirstPause{100};
constexpr std::chrono::milliseconds kLongestPause{2000};

}  // namespace

Result<Json> RunOutput::follow(Response first) {
    std::optional<Response> response(std::move(first));
    for (;;) {
        auto end = take(*response);
        if (end.ok() && end.value()) {
            if (unwritten_) return *unwritten_;
            return *std::move(end).value();
        }
        if (!end.ok()) return end.error();
        response.reset();
        response.emplace(TRY(ask_again()));
    }
}

Result<Json> RunOutput::follow() {
    Response response = TRY(ask());
    if (response.status() != 200) return api_error(response.status(), TRY(response.read_all()));
    return follow(std::move(response));
}

/// The end; nothing when the connection broke off before.
Result<std::optional<Json>> RunOutput::take(Response& response) {
    Frames frames;
    for (;;) {
        const auto piece = response.read();
        if (!piece.ok() || piece.value().empty()) return std::optional<Json>();
        frames.feed(piece.value());
        while (const auto frame = frames.next()) {
            if (frame->kind == Frame::Kind::kEnd) {
                Json data = parse_json(frame->bytes);
                if (data.is_discarded()) return Error{ErrorKind::kSystem, 0, "the daemon's result is not JSON"};
                return std::optional(std::move(data));
            }
            const bool errors = frame->kind == Frame::Kind::kErrors;
            (errors ? place_.errors : place_.output) += frame->bytes.size();
            TRY(pass_on(errors ? STDERR_FILENO : STDOUT_FILENO, frame->bytes));
        }
        if (frames.broken()) return Error{ErrorKind::kSystem, 0, "the daemon's answer is not in frames"};
    }
}

// A reader that has gone is no error: the command hears of it, and how it ends then is told as ever.
Result<void> RunOutput::pass_on(int fd, std::string_view bytes) {
    if (closed_told_ || bytes.empty()) return {};
    const auto written = write_all(fd, bytes);
    if (written.ok()) return {};
    closed_told_ = true;
    if (written.error().code != EPIPE) unwritten_ = Error(written.error()).in("passing on the output");
    if (!closed_) return Error(written.error()).in("passing on the output");
    closed_();
    return {};
}

Result<Response> RunOutput::ask() const {
    return send(api_.endpoint(),
                {.method = "GET",
                 .target = box_target(place_.box, "/runs/" + percent_encode(place_.run) +
                                                      "/output?frames=1&offset=" + std::to_string(place_.output) +
                                                      "&errors_offset=" + std::to_string(place_.errors))});
}

// There is no event to wait for: a daemon that comes back does not know of us.
Result<Response> RunOutput::ask_again() {
    const auto until = Clock::now() + kPatience;
    for (auto pause = kFirstPause;; pause = std::min(2 * pause, kLongestPause)) {
        auto response = ask();
        if (response.ok() && response.value().status() == 200) {
            if (!std::exchange(lost_told_, true)) {
                std::fprintf(stderr, "hutch: the connection to the daemon was lost; run %s goes on\n",
                             printable(place_.run).c_str());
            }
            return response;
        }
        if (response.ok()) {
            const auto body = response.value().read_all();
            return api_error(response.value().status(), body.ok() ? body.value() : "");
        }
        if (Clock::now() + pause > until) {
            return Error{ErrorKind::kSystem, 0,
                         "the daemon is gone, and the command goes on as run " + place_.run + "; see `hutch attach " +
                             place_.box + " " + place_.run + "` when it is back"};
        }
        std::this_thread::sleep_for(pause);
    }
}

Result<int> exit_code_of(const Json& ending, const std::string& what) {
    const int code = TRY(exit_code_of(ending));
    std::string how = text_of(ending, "error_message");
    if (how.empty() && text_of(ending, "exit_reason") == "cancelled") how = "cancelled";
    if (!how.empty()) std::fprintf(stderr, "hutch: %s: %s\n", printable(what).c_str(), printable(how).c_str());
    return code;
}

}  // namespace hutch::client
