#include "client/progress.h"

#include <unistd.h>

#include <cstdio>
#include <utility>

#include "client/format.h"

namespace hutch::client {
namespace {

constexpr std::chrono::milliseconds kBetween{200};

}  // namespace

Progress::Progress(std::string name, uint64_t total)
    : name_(std::move(name)), total_(total), terminal_(isatty(STDERR_FILENO) == 1), next_(Clock::now() + kBetween) {}

Progress::~Progress() {
    if (shown_) (void)std::fputs("\r\x1b[K", stderr);  // to the line's beginning, and clear it
}

void Progress::add(uint64_t bytes) {
    done_ += bytes;
    if (!terminal_ || Clock::now() < next_) return;
    next_ = Clock::now() + kBetween;
    shown_ = true;
    const std::string of = total_ == 0 ? "" : " of " + format_size(total_);
    (void)std::fprintf(stderr, "\r\x1b[K%s  %s%s", printable(name_).c_str(), format_size(done_).c_str(), of.c_str());
}

BodySource counted(BodySource source, std::shared_ptr<Progress> progress) {
    return [source = std::move(source), progress = std::move(progress)]() -> Result<std::string_view> {
        const std::string_view piece = TRY(source());
        progress->add(piece.size());
        return piece;
    };
}

}  // namespace hutch::client
