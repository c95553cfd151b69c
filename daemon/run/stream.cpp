#include "daemon/run/stream.h"

#include <algorithm>
#include <boost/asio/experimental/awaitable_operators.hpp>

#include "base/undo.h"
#include "daemon/fd_watch.h"

namespace hutch::daemon {
namespace {

constexpr size_t kReaderPiece = 128 * 1024;  // for a reader
constexpr size_t kMostInPipe = 1 << 20;      // /proc/sys/fs/pipe-max-size, for who is not root of the host

// A hole in what is passed on would make the offsets of all that follows lies.
Result<void> check_kept(uint64_t offset, const Journal& journal) {
    if (offset >= journal.begin()) return {};
    return Error{ErrorKind::kConflict, 0, "the reader was too slow: what comes next is no longer kept"};
}

}  // namespace

Stream::Stream(asio::any_io_executor executor, UniqueFd source, Journal journal)
    : executor_(std::move(executor)),
      source_(std::move(source)),
      journal_(std::move(journal)),
      closed_(!source_),
      grown_(executor_),
      caught_up_(executor_) {}

bool Stream::held_back() const {
    return !readers_.empty() && *readers_.begin() + std::min(kLag, share_->room()) < journal_.end();
}

Stream::~Stream() {
    if (share_) share_->leave(*this);
}

Task<> Stream::fill(Event& exited, std::shared_ptr<ReadingTurns::Share> share) {
    share_ = std::move(share);
    const Undo close([this] {  // however it ends: who follows must not wait for ever
        source_.reset();
        share_->leave(*this);
        share_.reset();
        closed_ = true;
        grown_.notify();
    });
    if (source_) co_await drain(exited);
}

Task<> Stream::drain(Event& exited) {
    using namespace asio::experimental::awaitable_operators;
    FdWatch watch(executor_, source_.get());
    for (;;) {
        while (held_back() && !exited.is_set()) co_await (caught_up_.wait() || exited.wait());
        if (exited.is_set()) break;
        co_await share_->turn(clients_ > 0, exited);
        const auto taken = take(ReadingTurns::kPiece);
        if (!taken) co_return;
        if (!*taken) co_await (watch.readable() || exited.wait());
    }
    take_rest();
}

std::optional<bool> Stream::take(size_t limit) {
    const auto taken = journal_.absorb(source_.get(), limit);
    if (!taken) return false;
    if (*taken == 0) return std::nullopt;
    share_->took(*taken, clients_ > 0);
    share_->join(*this);
    fit(share_->room());
    grown_.notify();
    return true;
}

void Stream::fit(uint64_t room) {
    journal_.fit(room, readers_.empty() ? journal_.end() : *readers_.begin());
}

// What is there now, and no more than a pipe can hold: what the command left in the background may write as fast as we
// read.
void Stream::take_rest() {
    for (size_t rest = kMostInPipe; rest > 0;) {
        const uint64_t before = journal_.end();
        if (!take(rest).value_or(false)) return;
        rest -= std::min<uint64_t>(journal_.end() - before, rest);
    }
}

Task<Result<void>> Stream::follow(uint64_t offset, Sink sink, Reader reader) {
    auto place = readers_.insert(offset);
    const size_t client = reader == Reader::kClient ? 1 : 0;
    clients_ += client;
    const Undo leave([&] {
        readers_.erase(place);
        clients_ -= client;
        caught_up_.notify();
    });
    for (;;) {
        while (offset >= journal_.end() && !closed_) co_await grown_.wait();
        if (offset >= journal_.end()) co_return Result<void>();
        CO_TRY(check_kept(offset, journal_));
        CO_TRY_LET(const std::string piece, journal_.read(offset, kReaderPiece));
        CO_TRY(co_await sink(piece));
        offset += piece.size();
        readers_.erase(place);
        place = readers_.insert(offset);
        caught_up_.notify();
    }
}

Task<Result<void>> Stream::copy(uint64_t offset, Sink sink) {
    for (const uint64_t end = journal_.end(); offset < end;) {
        CO_TRY(check_kept(offset, journal_));
        CO_TRY_LET(const std::string piece, journal_.read(offset, kReaderPiece));
        CO_TRY(co_await sink(piece));
        offset += piece.size();
    }
    co_return Result<void>();
}

}  // namespace hutch::daemon
