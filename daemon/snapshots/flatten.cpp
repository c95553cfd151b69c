// Each sealing puts a layer on a box's stack. Stacks that have grown high are made low again behind: what was written
// in many steps becomes one layer, and the boxes on it stand on that from their next start on. Snapshots keep theirs,
// which do not grow.

#include "overlayfs/flatten.h"

#include <algorithm>
#include <utility>

#include "base/undo.h"
#include "daemon/log.h"
#include "daemon/snapshots/snapshots.h"
#include "daemon/spawn.h"
#include "overlayfs/layer.h"

namespace hutch::daemon {
namespace {

using Layers = std::vector<std::string>;

constexpr size_t kHigh = 16;  // as many layers above the image are worth a copy

/// What is above the layers of the highest image that `stack` stands on: those are shared, and stay so. If the image
/// is gone, the lowest layer is taken for it.
Layers above_images(const Layers& stack, const std::vector<ImageRecord>& images) {
    size_t shared = 1;
    for (const ImageRecord& image : images) {
        const size_t height = image.layers.size();
        if (height <= stack.size() && std::equal(image.layers.rbegin(), image.layers.rend(), stack.rbegin())) {
            shared = std::max(shared, height);
        }
    }
    return {stack.begin(), stack.end() - static_cast<std::ptrdiff_t>(std::min(shared, stack.size()))};
}

/// `stack` with the layer `flat` where it had `range`; as it is where it has not.
Layers with_flat(Layers stack, const Layers& range, const std::string& flat) {
    const auto found = std::search(stack.begin(), stack.end(), range.begin(), range.end());
    if (found == stack.end()) return stack;
    *found = flat;
    stack.erase(found + 1, found + static_cast<std::ptrdiff_t>(range.size()));
    return stack;
}

}  // namespace

Result<bool> Snapshots::stands(const Box& box, Height height) {
    const Stack& layers = box.record.layers;
    if (height == Height::kTooHigh) return layers.size() >= kMostLayers;
    if (layers.size() < kHigh) return false;
    return above_images(layers, TRY(boxes_.records().images())).size() >= kHigh;
}

void Snapshots::flatten_behind(const std::shared_ptr<Box>& box) {
    if (box->record.layers.size() < kHigh) return;
    spawn(boxes_.executor(), "flattening the layers below box " + box->record.id, [this, box]() -> Task<> {
        const auto done = co_await flatten(box, Height::kHigh);
        if (!done.ok() && done.error().code != ECANCELED) log_warning("{}", done.error().message);
    });
}

/// Until the box does not stand so high. One at a time: what is made for one box may be under others too.
Task<Result<void>> Snapshots::flatten(std::shared_ptr<Box> box, Height height) {
    CO_TRY_LET(const bool before, stands(*box, height));
    if (!before) co_return Result<void>();
    CO_TRY_LET(const auto pass, boxes_.enter());
    while (const auto under_way = flattening_) co_await under_way->wait();
    CO_TRY_LET(const bool still, stands(*box, height));
    if (!still) co_return Result<void>();
    flattening_ = std::make_shared<Event>(boxes_.executor());
    const Undo over([this] { std::exchange(flattening_, nullptr)->set(); });
    const auto done = co_await flatten_now(box);
    if (done.ok()) co_return done;
    co_return Error(done.error()).in("making one layer of those below box " + box->record.id);
}

Task<Result<void>> Snapshots::flatten_now(std::shared_ptr<Box> box) {
    CO_TRY_LET(const auto images, boxes_.records().images());
    const Stack stack = box->record.layers;
    const Stack range = above_images(stack, images);
    if (range.size() < 2) {
        co_return Error{ErrorKind::kConflict, 0,
                        "its image alone has " + std::to_string(stack.size()) + " layers; make one of fewer steps"};
    }
    const Stack below(stack.begin() + static_cast<std::ptrdiff_t>(range.size()), stack.end());
    const InHand held(*this, stack);
    const auto& store = boxes_.mechanisms().store;
    CO_TRY_LET(const std::string flat, co_await flatteners_.run([&]() -> Result<std::string> {
        return overlayfs::seal_layer(store, TRY(overlayfs::flatten(store, range, below, stop_.get_token())));
    }));
    const InHand held_too(*this, {flat});
    for (const auto& user : boxes_.on_layer(range.front())) co_await put_on(user, range, flat);
    log_info("{} layers below box {} made one", range.size(), box->record.id);
    co_return Result<void>();
}

/// A box that is not there for it (being made, or going) stays on what it has.
Task<> Snapshots::put_on(std::shared_ptr<Box> box, Stack range, std::string flat) {
    auto claim = co_await boxes_.claim(box);
    if (!claim.ok()) co_return;
    const BoxRecord old = box->record;
    const Stack layers = with_flat(old.layers, range, flat);
    if (layers != old.layers) {
        // The old ones go soon: a power cut must not bring back a row that tells of them.
        (void)co_await boxes_.intend(
            box,
            [&](BoxRecord& record) {
                record.layers = layers;
                if (box->alive() && record.mounted.empty()) record.mounted = old.layers;
            },
            [&](BoxRecord& record) {
                record.layers = old.layers;
                record.mounted = old.mounted;
            });
    }
    boxes_.release(box, std::move(claim).value(), false);
}

}  // namespace hutch::daemon
