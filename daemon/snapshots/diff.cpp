// What a box has changed.

#include <fcntl.h>
#include <unistd.h>

#include <set>

#include "base/file.h"
#include "base/undo.h"
#include "daemon/snapshots/snapshots.h"
#include "daemon/spawn.h"
#include "overlayfs/change_archive.h"

namespace hutch::daemon {
namespace {

// What init makes at each start: places to mount on that an image lacks, and files that it writes anew.
bool is_of_init(const overlayfs::Change& change) {
    static const std::set<std::string> kMountPoints = {"dev", "proc", "sys", "tmp"};
    static const std::set<std::string> kWritten = {"etc/hostname", "etc/hosts", "etc/resolv.conf"};
    const bool added = change.kind == overlayfs::Change::Kind::kAdded;
    const bool written = added || change.kind == overlayfs::Change::Kind::kModified;
    return (added && kMountPoints.contains(change.path)) || (written && kWritten.contains(change.path));
}

struct Pipe {
    UniqueFd read, write;
};

Result<Pipe> make_pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return errno_error("making a pipe");
    return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

/// Until its end, or the taker's error.
Task<Result<void>> pour(asio::any_io_executor executor, UniqueFd from, Snapshots::Taker taker) {
    asio::posix::stream_descriptor pipe(executor, from.release());
    std::string buffer(size_t{64} << 10, '\0');
    for (;;) {
        const auto [failed, size] = co_await pipe.async_read_some(asio::buffer(buffer), kAwait);
        if (failed == asio::error::eof) co_return Result<void>();
        if (failed) co_return errno_error("reading an archive", failed.value());
        CO_TRY(co_await taker({buffer.data(), size}));
    }
}

}  // namespace

// The roots are opened at once, before anything is waited for: later the upper may be another one, under its name.
Task<Result<void>> Snapshots::diff(std::shared_ptr<Box> box, std::vector<std::string> base,
                                   overlayfs::ChangeSink sink) {
    CO_TRY_LET(const auto pass, boxes_.enter());
    const overlayfs::Stack now{box->record.id, box->record.layers};
    // A box or a snapshot that goes, or is flattened, must not take them away meanwhile.
    const InHand held(*this, now.layers);
    const InHand held_base(*this, base);
    CO_TRY_LET(const auto stacks, overlayfs::open_stacks(boxes_.mechanisms().store, now, base));
    const Reader reader(*this, *box);
    const auto take = [&sink](const overlayfs::Change& change) -> Result<void> {
        return is_of_init(change) ? Result<void>() : sink(change);
    };
    CO_TRY(co_await comparers_.run_for(box->record.customer,
                                       [&] { return overlayfs::diff(stacks, stop_.get_token(), take); }));
    co_return reader.check();
}

Task<Result<void>> Snapshots::archive_diff(std::shared_ptr<Box> box, std::vector<std::string> base, Taker taker) {
    CO_TRY_LET(const auto pass, boxes_.enter());
    const std::string customer = box->record.customer;
    if (archiving_.size() >= kMostArchives || archiving_.count(customer) >= kMostArchivesEach) {
        co_return Error{ErrorKind::kLimit, 0,
                        "as many archives are being read as may be, " + std::to_string(kMostArchivesEach) +
                            " of one customer and " + std::to_string(kMostArchives) +
                            " in all; try again when one of them is done"};
    }
    archiving_.insert(customer);
    const Undo done([&] { archiving_.erase(archiving_.find(customer)); });
    const overlayfs::Stack now{box->record.id, box->record.layers};
    const InHand held(*this, now.layers);
    const InHand held_base(*this, base);
    CO_TRY_LET(const auto stacks, overlayfs::open_stacks(boxes_.mechanisms().store, now, base));
    const Reader reader(*this, *box);
    CO_TRY_LET(Pipe pipe, make_pipe());
    const auto write = [&]() -> Result<void> {
        const UniqueFd to = std::move(pipe.write);  // closed at the end: that is the reader's
        const overlayfs::ByteSink sink = [&to](std::string_view bytes) { return write_all(to.get(), bytes); };
        return overlayfs::archive_changes(stacks, stop_.get_token(), sink, is_of_init);
    };
    Result<void> written = errno_error("writing an archive", ENOMEM);
    Event over(boxes_.executor());
    const auto write_behind = [&]() -> Task<> { written = co_await archivers_.run(write); };
    spawn(boxes_.executor(), "writing an archive of what box " + box->record.id + " has changed", write_behind(),
          [&over](const Result<void>&) { over.set(); });
    auto poured = co_await caught(pour(boxes_.executor(), std::move(pipe.read), std::move(taker)));
    co_await over.wait();  // with nobody to read it ends by itself
    CO_TRY(std::move(poured));
    CO_TRY(std::move(written));
    co_return reader.check();
}

}  // namespace hutch::daemon
