#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/event.h"
#include "daemon/images/images.h"
#include "daemon/registry/registries.h"
#include "daemon/turns.h"
#include "daemon/wire/oci.h"

namespace hutch::daemon {

struct PullImage {
    std::string customer = kLocalCustomer;  ///< whose the image will be
    Reference reference;                    ///< as Registries::reference() gives it
    std::string name{};                     ///< of the image here
    std::optional<RegistryLogin> login{};   ///< none: as the customer has logged in
};

/// How far a layer of an image is.
struct PulledLayer {
    std::string digest;
    int64_t size = 0;     ///< of the blob, in bytes
    int64_t bytes = 0;    ///< of that, fetched
    bool wanted = false;  ///< it is not here yet, or was not
};

/// A pull that is under way, or has ended.
class Pull {
  public:
    explicit Pull(const asio::any_io_executor& executor) : changed(executor), abandoned(executor) {}

    Signal changed;                     ///< something of the following has changed
    std::vector<PulledLayer> layers{};  ///< lowest first; empty until they are known
    std::string said{};                 ///< the last line of what is done with them
    std::optional<Result<ImageRecord>> outcome{};

  private:
    friend class Pulls;
    Event abandoned;  ///< nobody waits for it any more
};

/// Images of registries on their way to this host. One pull for all of a customer's who ask for the same at a time; it
/// is given up when all of them have gone, and leaves the blobs that it has, for the next. Event loop thread only.
class Pulls {
  public:
    Pulls(Manager& manager, Images& images, Registries& registries);
    Pulls(const Pulls&) = delete;
    Pulls& operator=(const Pulls&) = delete;

    /// Joins the pull that is under way, or begins one. It goes on as long as somebody holds on to what is returned.
    std::shared_ptr<Pull> begin(PullImage command);
    /// To its end.
    Task<Result<ImageRecord>> pull(PullImage command);
    /// The image that came by that reference, the customer's own before the operator's.
    [[nodiscard]] std::optional<ImageRecord> here(const std::string& customer, const Reference& reference) const;

  private:
    struct Found;  // what the registry has by a reference
    Task<Result<ImageRecord>> work(std::shared_ptr<Pull> pull, PullImage command);
    Task<Result<Found>> look(std::shared_ptr<Repository> repository, std::string wanted);
    Task<Result<ImageRecord>> bring(std::shared_ptr<Pull> pull, PullImage command,
                                    std::shared_ptr<Repository> repository, Found found);
    Manager& manager_;
    Images& images_;
    Registries& registries_;
    std::map<std::string, std::weak_ptr<Pull>> under_way_;
    static constexpr size_t kMostPulls = 16;  ///< each may hold some documents of 4 MiB
    static constexpr size_t kMostPullsEach = 4;
    Turns pulling_{kMostPulls, kMostPullsEach};
};

}  // namespace hutch::daemon
