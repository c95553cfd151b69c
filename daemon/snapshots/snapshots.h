#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "daemon/box/manager.h"
#include "daemon/box/meter.h"
#include "overlayfs/diff.h"
#include "overlayfs/layer.h"

namespace hutch::daemon {

/// Time each step of a snapshot or a fork took, in nanoseconds.
struct KeepTimes {
    int64_t sync = 0;    ///< writing out what the box had written, before anything stands still
    int64_t record = 0;  ///< the durable commits
    int64_t end = 0;     ///< of a box at rest: ending its init
    int64_t seal = 0;    ///< and making its upper a layer
    int64_t frozen = 0;  ///< of a box at work: from the freeze to the thaw
    int64_t copied = 0;  ///< making the copy a layer, with its sync
};

/// The files of boxes kept as layers: for snapshots, which outlive their box, and for forks. Event loop thread only.
class Snapshots {
  public:
    explicit Snapshots(Manager& boxes);
    ~Snapshots() { stop(); }
    /// What is being copied or added up is given up: for the end of the daemon.
    void stop();
    Snapshots(const Snapshots&) = delete;
    Snapshots& operator=(const Snapshots&) = delete;

    /// Reads the rows; those whose layers are gone from the store are said and left out.
    Result<void> load();

    /// The box's files as they are now. Durable when it answers. A box in which nothing runs and which keeps nothing in
    /// memory gets a fresh init, in constant time at any size; any other stands still while its files are copied, and
    /// goes on as it was. `also` writes down what else belongs to the snapshot, in the transaction that makes it one.
    using Also = std::function<Result<void>(const SnapshotRecord&)>;
    Task<Result<SnapshotRecord>> take(std::shared_ptr<Box> box, std::string name, KeepTimes& times, Also also);
    /// Boxes on the files that this one has now, as the commands say but for their image. All of them or none.
    Task<Result<std::vector<std::shared_ptr<Box>>>> fork(std::shared_ptr<Box> box, std::vector<CreateBox> commands);
    /// The box's files become those of a snapshot of it, for good; what runs in it ends.
    Task<Result<void>> roll_back(std::shared_ptr<Box> box, std::string id);

    /// Tells `sink` how the box's files differ from those of the stack `base`, as they are now; reads all that is not
    /// in both stacks. Call it while nobody changes the box (Box::unchanged); what vanishes afterwards is left out. The
    /// sink is called on another thread, and no more when this has answered.
    Task<Result<void>> diff(std::shared_ptr<Box> box, std::vector<std::string> base, overlayfs::ChangeSink sink);
    /// The same with the files' contents, as an archive (overlayfs/change_archive.h), piece by piece as `taker` takes
    /// it.
    using Taker = std::function<Task<Result<void>>(std::string_view)>;
    Task<Result<void>> archive_diff(std::shared_ptr<Box> box, std::vector<std::string> base, Taker taker);

    /// Oldest first; of this box only, if one is named.
    std::vector<SnapshotRecord> list(const std::string& box_id = "");
    /// A customer's that are called so, oldest first; of this box only, if one is named.
    std::vector<SnapshotRecord> named(const std::string& customer, const std::string& name, const std::string& box_id);
    /// Whosever it is. kNotFound names what was asked for.
    Result<SnapshotRecord> find_of_any(const std::string& id);
    /// Boxes made from it keep its files, and pay for them from then on.
    Task<Result<void>> remove(std::vector<std::string> ids);
    /// What a box made from it is made of.
    static ImageRecord as_image(const SnapshotRecord& snapshot);

    /// What holding them has cost since that was last booked; under the names of the boxes they were taken of.
    [[nodiscard]] std::vector<UsageRecord> pending() const;
    /// Writes that down; others have their turns in between.
    Task<> book();

  private:
    struct Kept {
        SnapshotRecord record;
        Moment booked_at;  ///< record.booked_ms by the monotonic clock
    };
    static UsageRecord unbooked(const Kept& kept);
    std::vector<SnapshotRecord> picked(const std::function<bool(const SnapshotRecord&)>& wanted);
    using Stack = std::vector<std::string>;  ///< of layers, topmost first
    /// An overlay takes 500 layers, and, before Linux 6.5, as many as fit in a page of options (overlay_by_mount).
    static constexpr size_t kMostLayers = 64;
    /// Layers that must stay, though no record may tell of them.
    class InHand {
      public:
        InHand(Snapshots& snapshots, Stack layers);
        InHand(const InHand&) = delete;
        InHand& operator=(const InHand&) = delete;
        ~InHand();  ///< those that nobody needs now go

      private:
        Snapshots& snapshots_;
        const Stack layers_;
    };
    /// Somebody who reads a box's files as they were when it came: what its upper becomes meanwhile stays too.
    class Reader {
      public:
        Reader(Snapshots& snapshots, const Box& box);
        Reader(const Reader&) = delete;
        Reader& operator=(const Reader&) = delete;
        ~Reader();
        /// kConflict if they were thrown away meanwhile, and what was read may be a part.
        [[nodiscard]] Result<void> check() const;

      private:
        Snapshots& snapshots_;
        const Box& box_;
        const std::string id_;
        const uint64_t lost_;
    };
    struct Readers {
        size_t count = 0;
        Stack sealed;  ///< since the first of them came
    };
    /// Writes down, in the transaction that ends the making of a stack, what it was made for.
    using Commit = std::function<Result<void>(const Stack&)>;
    using Follow = std::function<void()>;  ///< brings memory after that: see Records::durably

    Task<Result<Stack>> keep_files(std::shared_ptr<Box> box, Commit commit, Follow follow, KeepTimes& times);
    Task<Result<Stack>> seal(std::shared_ptr<Box> box, Commit commit, Follow follow, KeepTimes& times);
    Task<Result<Stack>> copy(std::shared_ptr<Box> box, Commit commit, Follow follow, KeepTimes& times);
    /// Has what it wrote on the disk, and knows how much that is.
    Task<> sync(std::shared_ptr<Box> box, KeepTimes& times);
    /// Of its customer's disk as much as the box had written at sync(), until its copy counts by itself; kLimit
    /// without.
    Result<CustomerLimits::Hold> take_room(const Box& box);
    Task<Result<overlayfs::Import>> copy_frozen(std::shared_ptr<Box> box, KeepTimes& times);
    Task<Result<std::vector<std::shared_ptr<Box>>>> create_all(std::vector<CreateBox> commands);
    void add_up(const std::string& id);
    void note_size(const std::string& id);
    void flatten_behind(const std::shared_ptr<Box>& box);
    enum class Height { kHigh, kTooHigh };  ///< worth a copy, or more than there may be
    Result<bool> stands(const Box& box, Height height);
    Task<Result<void>> flatten(std::shared_ptr<Box> box, Height height);
    Task<Result<void>> flatten_now(std::shared_ptr<Box> box);
    Task<> put_on(std::shared_ptr<Box> box, Stack range, std::string flat);
    void enlist(SnapshotRecord record, Moment booked_at);
    /// Its layers.
    Stack strike(const std::string& id);
    Result<void> book(Kept& kept);
    [[nodiscard]] bool uses_layer(const std::string& layer) const;

    Manager& boxes_;
    std::map<std::string, Kept> snapshots_;                    ///< by id
    std::unordered_map<std::string, size_t> under_snapshots_;  ///< layers, and of how many each is
    std::multiset<std::string> in_hand_;                       ///< layers of which no record tells yet
    std::map<std::string, Readers> readers_;                   ///< by the box's id
    std::set<std::shared_ptr<Box>> copying_;
    std::shared_ptr<Event> flattening_;  ///< set when that which is under way is done
    std::stop_source stop_;
    // Not the workers of requests: a large tree takes seconds.
    Workers copiers_{2};
    Workers comparers_{2, 0, Urgency::kBehind};
    Workers flatteners_{1, 0, Urgency::kBehind};
    static constexpr size_t kMostArchives = 12;
    static constexpr size_t kMostArchivesEach = 4;
    std::multiset<std::string> archiving_;                   ///< the customers that read them
    Workers archivers_{kMostArchives, 0, Urgency::kBehind};  // each holds a thread for as long as its client reads
};

}  // namespace hutch::daemon
