#include "daemon/images/oci_import.h"

#include <fcntl.h>

#include <algorithm>
#include <deque>
#include <thread>

#include "base/file.h"
#include "base/undo.h"
#include "daemon/digest.h"
#include "daemon/images/oci_blob.h"
#include "daemon/spawn.h"
#include "overlayfs/layer.h"
#include "overlayfs/marks.h"
#include "overlayfs/oci_layer.h"

namespace hutch::daemon {
namespace {

size_t unpacking_threads() {
    return std::clamp<size_t>(std::thread::hardware_concurrency(), 3, 8);
}

struct Sealed {
    std::string id;
    uint64_t bytes = 0;
    bool alone = false;  ///< what is below it never shows: its root is opaque
};

// On a worker thread. `below`: topmost first.
Result<Sealed> settle_layer(const overlayfs::Store& store, overlayfs::OciLayer layer,
                            const std::vector<std::string>& below) {
    const std::vector<UniqueFd> roots = TRY(overlayfs::open_layers(store, below));
    TRY(layer.settle(roots));
    Sealed sealed;
    sealed.id = TRY(overlayfs::place_layer(store, layer.take()));
    const auto bytes = overlayfs::layer_bytes(store, sealed.id);
    if (bytes.ok()) sealed.bytes = bytes.value();
    return sealed;
}

Result<bool> stands_alone(const overlayfs::Store& store, const std::string& layer) {
    const UniqueFd root = TRY(overlayfs::open_layer(store, layer));
    return overlayfs::is_opaque(root.get());
}

Result<void> check_image(const OciImage& image) {
    const size_t count = image.layers.size();
    if (count != image.config.diff_ids.size()) {
        return invalid("the image has " + std::to_string(count) + " layers, and its config tells of " +
                       std::to_string(image.config.diff_ids.size()));
    }
    if (count == 0) return invalid("the image has no layers");
    if (count <= oci::kMaxLayers) return {};
    return invalid("the image has " + std::to_string(count) + " layers; " + std::to_string(oci::kMaxLayers) +
                   " are the most that a box can stand on");
}

std::string place_of_layer(size_t index, const OciImage& image) {
    return "layer " + std::to_string(index + 1) + " of " + std::to_string(image.layers.size());
}

}  // namespace

class OciImport::Coming {
  public:
    Coming(std::shared_ptr<OciImport*> home, std::string its_customer)
        : customer(std::move(its_customer)), ended((*home)->manager_.executor()), home_(std::move(home)) {}
    Coming(const Coming&) = delete;
    Coming& operator=(const Coming&) = delete;
    ~Coming() {
        if (*home_ != nullptr && !layer.empty()) (*home_)->manager_.layers().drop_unused({layer});
    }
    void come(std::string its_layer) {
        layer = std::move(its_layer);
        ended.set();
    }

    const std::string customer;
    std::string layer;  ///< once it is in the store
    bool told = false;  ///< the store had it: an image of it is on record, and it is safe from a power cut
    Event ended;        ///< without a layer: it did not come to one

  private:
    const std::shared_ptr<OciImport*> home_;  ///< null when that is gone
};

struct OciImport::Piece {
    explicit Piece(const asio::any_io_executor& executor) : unpacked(executor) {}

    std::string chain;
    std::shared_ptr<Coming> coming;
    bool ours = false;  ///< to bring
    std::optional<overlayfs::OciLayer> tree{};
    LayerBlobRecord blob{};
    Result<void> how{};
    Event unpacked;  ///< into `tree`, or not, as `how` tells
};

// What the coroutines of one call share. Those that unpack take the layers from the lowest on; the call itself settles
// them in that order.
struct OciImport::Bringing {
    Bringing(const OciImage& its_image, OpenBlob its_open, Progress its_progress, const asio::any_io_executor& executor)
        : image(its_image), open(std::move(its_open)), progress(std::move(its_progress)), idle(executor) {}

    const OciImage& image;
    const OpenBlob open;
    const Progress progress;
    std::deque<Piece> pieces{};
    std::vector<size_t> ours{};
    size_t next = 0;  ///< of `ours`
    bool failed = false;
    size_t busy = 0;  ///< coroutines that unpack
    Event idle;       ///< when none does any more
    OciSum sum{};
};

OciImport::OciImport(Manager& manager, MayShare may_share)
    : manager_(manager),
      may_share_(std::move(may_share)),
      home_(std::make_shared<OciImport*>(this)),
      unpackers_(unpacking_threads(), 0, Urgency::kBehind) {
    manager_.layers().add_user([home = home_](const std::string& layer) { return *home && (*home)->holds(layer); });
}

OciImport::~OciImport() {
    *home_ = nullptr;
}

bool OciImport::holds(const std::string& layer) {
    std::erase_if(coming_, [](const auto& entry) { return entry.second.expired(); });
    return std::any_of(coming_.begin(), coming_.end(), [&layer](const auto& entry) {
        const auto coming = entry.second.lock();
        return coming && coming->layer == layer;
    });
}

// Whoever brings it, the store, or this call.
Result<void> OciImport::claim(Piece& piece, const std::string& customer) {
    piece.ours = false;
    const auto [begin, end] = coming_.equal_range(piece.chain);
    for (auto entry = begin; entry != end; ++entry) {
        const auto coming = entry->second.lock();
        const bool lost = coming && coming->ended.is_set() && coming->layer.empty();
        if (!coming || lost || coming->customer != customer) continue;
        piece.coming = coming;
        return {};
    }
    piece.coming = std::make_shared<Coming>(home_, customer);
    coming_.emplace(piece.chain, piece.coming);
    for (const LayerBlobRecord& blob : TRY(manager_.records().blobs_of_chain(piece.chain))) {
        if (!may_share_(blob.layer, customer) || manager_.layers().missing({blob.layer})) continue;
        piece.coming->told = !holds(blob.layer);  // else another call has just brought it
        piece.coming->come(blob.layer);
        return {};
    }
    piece.ours = true;
    return {};
}

Task<Result<void>> OciImport::unpack(Bringing& bringing, size_t index) {
    Piece& piece = bringing.pieces[index];
    CO_TRY_LET(const OciBlob blob, co_await bringing.open(index));
    CO_TRY_LET(piece.tree, overlayfs::OciLayer::begin(manager_.mechanisms().store));
    const oci::Descriptor& descriptor = bringing.image.layers[index];
    const std::string& diff_id = bringing.image.config.diff_ids[index];
    const auto work = [&] { return unpack_blob(blob, descriptor, diff_id, *piece.tree, bringing.sum, piece.blob); };
    co_return co_await unpackers_.run_for(bringing.image.customer, work);
}

Task<> OciImport::unpack_some(std::shared_ptr<Bringing> bringing) {
    while (bringing->next < bringing->ours.size() && !bringing->failed) {
        const size_t index = bringing->ours[bringing->next++];
        Piece& piece = bringing->pieces[index];
        piece.how = co_await caught(unpack(*bringing, index));
        if (!piece.how.ok()) bringing->failed = true;
        piece.unpacked.set();
    }
}

void OciImport::begin_unpacking(const std::shared_ptr<Bringing>& bringing) {
    const size_t lanes = std::min(bringing->ours.size(), unpacking_threads() - 1);
    if (lanes == 0) bringing->idle.set();
    bringing->busy = lanes;
    for (size_t lane = 0; lane < lanes; ++lane) {
        spawn(manager_.executor(), "unpacking image " + bringing->image.name, unpack_some(bringing),
              [bringing](const Result<void>&) {
                  if (--bringing->busy == 0) bringing->idle.set();
              });
    }
}

// `below`: topmost first.
Task<Result<void>> OciImport::settle(Bringing& bringing, size_t index, std::vector<std::string> below) {
    Piece& piece = bringing.pieces[index];
    const overlayfs::Store& store = manager_.mechanisms().store;
    const auto work = [&] { return settle_layer(store, std::move(*piece.tree), below); };
    CO_TRY_LET(const Sealed sealed, co_await unpackers_.run_for(bringing.image.customer, work));
    piece.coming->come(sealed.id);  // from here on its end drops the layer
    manager_.layers().learn(sealed.id, static_cast<int64_t>(sealed.bytes));
    piece.blob.layer = sealed.id;
    piece.blob.chain_id = piece.chain;
    co_return manager_.records().put_blob(piece.blob);
}

Task<Result<void>> OciImport::complete(Bringing& bringing, size_t index, const std::vector<std::string>& below) {
    Piece& piece = bringing.pieces[index];
    if (piece.ours) co_await piece.unpacked.wait();
    while (!piece.ours) {
        co_await piece.coming->ended.wait();
        if (!piece.coming->layer.empty()) co_return Result<void>();
        CO_TRY(claim(piece, bringing.image.customer));  // who brought it has failed, for reasons of its own
        if (piece.ours) piece.how = co_await caught(unpack(bringing, index));
    }
    CO_TRY(piece.how);
    co_return co_await settle(bringing, index, below);
}

Task<Result<OciImport::Stack>> OciImport::gather(Bringing& bringing) {
    Stack stack;
    const overlayfs::Store& store = manager_.mechanisms().store;
    for (size_t index = 0; index < bringing.pieces.size(); ++index) {
        const std::string place = place_of_layer(index, bringing.image);
        auto done = co_await complete(bringing, index, stack.layers);
        if (!done.ok()) co_return std::move(done).error().in(place);
        Piece& piece = bringing.pieces[index];
        CO_TRY_LET(const bool alone, stands_alone(store, piece.coming->layer));
        if (alone) stack.layers.clear();
        stack.layers.insert(stack.layers.begin(), piece.coming->layer);
        stack.held.push_back(piece.coming);
        if (piece.ours && bringing.progress) bringing.progress(place + " is unpacked");
    }
    co_return stack;
}

Task<Result<OciImport::Stack>> OciImport::bring(const OciImage& image, OpenBlob open, Progress progress) {
    CO_TRY(check_image(image));
    const auto bringing = std::make_shared<Bringing>(image, std::move(open), std::move(progress), manager_.executor());
    const Undo let_others_go_on([&bringing] {
        for (Piece& piece : bringing->pieces) {
            if (piece.ours && !piece.coming->ended.is_set()) piece.coming->ended.set();
        }
    });
    std::string chain;
    for (size_t index = 0; index < image.layers.size(); ++index) {
        chain = chain_id(chain, image.config.diff_ids[index]);
        Piece& piece = bringing->pieces.emplace_back(manager_.executor());
        piece.chain = chain;
        CO_TRY(claim(piece, image.customer));
        if (piece.ours) bringing->ours.push_back(index);
    }
    const overlayfs::Store& store = manager_.mechanisms().store;
    CO_TRY_LET(const UniqueFd since, open_at(store.root(), ".", O_RDONLY | O_DIRECTORY));
    begin_unpacking(bringing);
    auto stack = co_await caught(gather(*bringing));
    bringing->failed = bringing->failed || !stack.ok();
    co_await bringing->idle.wait();  // they use what is the caller's
    if (stack.ok() && std::ranges::any_of(bringing->pieces, [](const Piece& piece) { return !piece.coming->told; })) {
        const auto write_out = [&] { return overlayfs::write_out(store, since); };
        const auto written = co_await unpackers_.run_for(image.customer, write_out);
        if (!written.ok()) stack = written.error();
    }
    if (!stack.ok()) manager_.mechanisms().reaper->nudge();  // what is given up lies in the trash
    co_return stack;
}

}  // namespace hutch::daemon
