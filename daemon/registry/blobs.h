#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/unique_fd.h"
#include "daemon/event.h"
#include "daemon/registry/repository.h"
#include "daemon/turns.h"
#include "daemon/workers.h"

namespace hutch::daemon {

/// A blob that is whole and is what its digest says.
struct SpooledBlob {
    UniqueFd file;                     ///< at its beginning, for reading
    std::shared_ptr<const void> kept;  ///< as long as somebody has it, the file is not swept away
};

/// Blobs of registries on their way to this host, each in a file of one directory while somebody needs it. What breaks
/// off is gone on with where it stopped, by the same daemon or a later one: files stay for a day, and of those that
/// nobody fetches 8 GiB at most. Customers have files of their own, so that nobody has a blob without having been given
/// it by a registry. Event loop thread only; reading, writing and hashing is not done there.
class Blobs {
  public:
    /// Makes the directory, and sweeps it.
    static Result<std::unique_ptr<Blobs>> open(asio::any_io_executor executor, const std::string& directory);

    /// How much of it is here, in bytes.
    using Heard = std::function<void(int64_t bytes)>;
    /// Fetches it once for all of a customer's who want it at a time; those of one customer four at a time. kConflict
    /// for one that is not what digest and `size` say, that comes in drips, or that breaks off again and again.
    Task<Result<SpooledBlob>> fetch(std::shared_ptr<Repository> from, std::string customer, std::string digest,
                                    int64_t size, Heard heard);
    /// Deletes the files that nobody needs any more: what they were fetched for is made.
    Task<> drop(std::string customer, std::vector<std::string> digests);

  private:
    struct Mark;   // of a file that somebody needs
    struct Spool;  // a file while it is filled

    Blobs(asio::any_io_executor executor, UniqueFd directory)
        : executor_(std::move(executor)), directory_(std::move(directory)) {}
    Task<Result<SpooledBlob>> fetch_alone(std::shared_ptr<Repository> from, std::string digest, int64_t size,
                                          std::string name, Heard heard);
    Task<Result<void>> fill(Repository& from, const std::string& digest, Spool& spool, const Heard& heard);
    Task<Result<void>> fill_once(Repository& from, const std::string& digest, Spool& spool, const Heard& heard);
    Task<Result<void>> hash_old(Spool& spool);
    Task<Result<void>> start_over(Spool& spool);
    Task<> unlink_all(std::vector<std::string> names);
    void sweep();

    asio::any_io_executor executor_;
    UniqueFd directory_;
    std::map<std::string, std::weak_ptr<Mark>> needed_;  ///< by the file's name
    static constexpr size_t kMostFetched = 16;
    static constexpr size_t kMostFetchedEach = 4;
    Turns fetching_{kMostFetched, kMostFetchedEach};
    static constexpr size_t kSpoolers = 2;
    Workers spoolers_{kSpoolers, 0, Urgency::kBehind};
};

}  // namespace hutch::daemon
