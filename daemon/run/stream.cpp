#include "daemon/run/stream.h"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>

#include "base/undo.h"
#include "daemon/fd_watch.h"

namespace hutch::daemon {
namespace {

constexpr size_t kPiece = 64 * 1024;

}  // namespace

Stream::Stream(asio::any_io_executor executor, UniqueFd source, Journal journal)
    : executor_(std::move(executor)),
      source_(std::move(source)),
      journal_(std::move(journal)),
      closed_(!source_),
      grown_(executor_),
      caught_up_(executor_) {}

bool Stream::held_back() const {
    return !readers_.empty() && *readers_.begin() + kLag < journal_.end();
}

Task<> Stream::fill(Event& exited) {
    co_await drain(exited);
    source_.reset();
    closed_ = true;
    grown_.notify();
}

Task<> Stream::drain(Event& exited) {
    using namespace asio::experimental::awaitable_operators;
    FdWatch watch(executor_, source_.get());
    for (int pieces = 1;; ++pieces) {
        // A command may write as fast as we read: the others' turn comes all the same.
        if (pieces % 16 == 0) co_await asio::post(executor_, asio::use_awaitable);
        while (held_back() && !exited.is_set()) co_await (caught_up_.wait() || exited.wait());
        const auto taken = journal_.absorb(source_.get());
        if (taken.has_value()) {
            if (*taken == 0) co_return;
            grown_.notify();
        } else if (exited.is_set()) {
            co_return;
        } else {
            co_await (watch.readable() || exited.wait());
        }
    }
}

Task<Result<void>> Stream::follow(uint64_t offset, Sink sink) {
    auto place = readers_.insert(offset);
    const Undo leave([&] {
        readers_.erase(place);
        caught_up_.notify();
    });
    for (;;) {
        while (offset >= journal_.end() && !closed_) co_await grown_.wait();
        if (offset >= journal_.end()) co_return Result<void>();
        CO_TRY_LET(const std::string piece, journal_.read(offset, kPiece));
        CO_TRY(co_await sink(piece));
        offset += piece.size();
        readers_.erase(place);
        place = readers_.insert(offset);
        caught_up_.notify();
    }
}

Task<Result<void>> Stream::copy(uint64_t offset, Sink sink) {
    for (const uint64_t end = journal_.end(); offset < end;) {
        CO_TRY_LET(const std::string piece, journal_.read(offset, kPiece));
        CO_TRY(co_await sink(piece));
        offset += piece.size();
    }
    co_return Result<void>();
}

}  // namespace hutch::daemon
