#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/alarm.h"
#include "daemon/box/agenda.h"
#include "daemon/box/box.h"
#include "daemon/box/layers.h"
#include "daemon/box/mechanisms.h"
#include "daemon/box/meter.h"
#include "daemon/box/stock.h"
#include "daemon/customer_limits.h"
#include "daemon/event_log.h"
#include "daemon/store/records.h"
#include "daemon/workers.h"

namespace hutch::daemon {

/// What a box that is to be made takes of its customer's limits.
struct Admission {
    CustomerLimits::Hold place, memory;
};

struct CreateBox {
    std::string customer = kLocalCustomer;
    std::string name;
    std::string size = "small";
    std::vector<std::string> labels;
    Pairs env;
    ImageRecord image;
    bool internal = false;
    NetworkPolicy network;
    std::string clone_repo{};
    std::string git_token{};
    bool nesting = false;
    bool keep_alive = false;
    std::string init_command;
    int64_t idle_timeout = -1;                                   ///< seconds; 0: never, -1: as the daemon is set
    int64_t ttl = 0;                                             ///< seconds; 0: not ephemeral
    std::function<Result<void>(const std::string& id)> on_id{};  ///< told it before it is on record; may refuse
    std::shared_ptr<Admission> admission{};  ///< of Manager::admit, for who makes several; else create() asks for it
};

/// Time each step of a deletion took, in nanoseconds.
struct DeleteTimes {
    int64_t record = 0;  ///< marking its row, and dropping it in the end
    int64_t kill = 0;    ///< ending its processes, removing its control groups
    int64_t files = 0;   ///< moving its upper to where it is deleted later
};

/// The map of boxes: who exists, under which id and name, and the steps of making, changing and deleting one. What a
/// box is made of is builder.h's business, what runs in it run.h's. Event loop thread only.
class Manager {
  public:
    /// `listener` is told what happens in the boxes.
    Manager(asio::any_io_executor executor, Mechanisms& mechanisms, Records& records, Workers& workers, Layers& layers,
            Meter& meter, BoxListener& listener, EventLog& events, CustomerLimits& limits);

    /// A living box. On failure nothing of it remains.
    Task<Result<std::shared_ptr<Box>>> create(CreateBox command);
    /// Takes the places of all these boxes, or of none: kLimit, naming what of their customer or of the host is used
    /// up. Before anything is made for them.
    Result<void> admit(std::vector<CreateBox>& commands);
    /// A customer's, by id or name. kNotFound names what was asked for.
    Result<std::shared_ptr<Box>> find(const std::string& customer, const std::string& id_or_name);
    /// The id of the one that has this address; empty: none has.
    [[nodiscard]] std::string owner_of(netns::Ipv4 address) const;
    /// Whosever it is, by id.
    Result<std::shared_ptr<Box>> find_of_any(const std::string& id);
    /// Those that stand on this layer.
    std::vector<std::shared_ptr<Box>> on_layer(const std::string& layer);
    /// Those of all customers, in order of creation.
    std::vector<std::shared_ptr<Box>> list();
    /// Sees to it that the box is awake, and notes the activity.
    Task<Result<void>> wake(std::shared_ptr<Box> box);
    /// Stops all its processes where they are; runs under way go on when it is woken. kConflict when they do not come
    /// to a stop, and then all of them run again, or when the box is not one to be paused.
    Task<Result<void>> pause(std::shared_ptr<Box> box);
    Task<Result<void>> resume(std::shared_ptr<Box> box);
    /// What of it depends on time, as it is now.
    [[nodiscard]] Timetable timetable(const Box& box) const;
    /// Gone for every caller at once; answers when it is gone from the kernel too, or after two seconds, with the rest
    /// being done behind; then, and for who comes second, there are no times.
    Task<Result<std::optional<DeleteTimes>>> remove(std::shared_ptr<Box> box);
    /// A place among what the daemon waits for at its end; kLimit when that has come.
    Result<Gate::Pass> enter();
    /// The right to change a box's life and files, and such a place.
    struct Claim {
        Gate::Pass pass;
        Box::Change change;
    };
    /// Waits for whoever has it. kNotFound or kConflict when the box is not (or no longer) there for it.
    Task<Result<Claim>> claim(std::shared_ptr<Box> box);
    /// For who has claimed it and now ends that: what it needs time for is looked at again, and, if it is to `start`,
    /// it gets a fresh init behind, before the claim is over.
    void release(const std::shared_ptr<Box>& box, Claim claim, bool start);
    using Edit = std::function<void(BoxRecord&)>;
    /// For who has claimed it: what must be safe from a power cut before it is begun. On an error the record and its
    /// row are as `back` makes them; or as `edit` did, if the row cannot be written any more.
    Task<Result<void>> intend(std::shared_ptr<Box> box, Edit edit, Edit back);
    /// For who has claimed it: ends its life, which it has; its files stay.
    Task<Result<void>> end(std::shared_ptr<Box> box);

    /// Ends its processes and keeps its files, as a start of the daemon after a reboot finds it.
    Task<Result<void>> stop(std::shared_ptr<Box> box);

    /// Takes over what an earlier daemon left: see adopt.cpp. Before anything else.
    Result<void> adopt();

    /// Changes its settings; they are as they were when that cannot be recorded.
    Result<void> change(Box& box, const Edit& edit);
    /// What it may talk to, from the moment this answers, and at every start.
    Task<Result<void>> set_network(std::shared_ptr<Box> box, NetworkPolicy policy);
    /// Whether HTTPS of it is relayed, and the record that tells why; `old`: as that was.
    Task<Result<void>> set_attached(std::shared_ptr<Box> box, AttachedRecord wanted, AttachedRecord old);
    /// Looks at what the box has written, and, where the file system counts that, all boxes of its customer: what was
    /// last measured may be an hour old.
    Task<> look_at_disk(std::shared_ptr<Box> box);
    /// The same of this box alone, where the file system counts it.
    Task<> count_disk(std::shared_ptr<Box> box);
    /// Holds what boxes of a customer write to what it has left; until the loop ends.
    Task<> watch_disk();
    /// Has the meter look again at who holds these layers.
    void weigh_those_on(const std::vector<std::string>& layers);

    /// Called with each box whose init has been started, not taken over; replaces what was set before.
    void on_started(std::function<void(const std::shared_ptr<Box>&)> call) { started_ = std::move(call); }

    /// Called with each box that is deleted, as soon as nobody finds it; replaces what was set before.
    void on_deleted(std::function<void(const Box&)> call) { deleted_ = std::move(call); }

    /// Those who keep ids and names unique among several hosts.
    struct Registry {
        /// Before a box is on record; its error is the end of the making.
        std::function<Task<Result<void>>(const BoxRecord&)> claim;
        /// It is gone, or was never made.
        std::function<void(const BoxRecord&)> release;
        /// Until that is known to all, or for some seconds.
        std::function<Task<>(std::string id)> released;
    };
    void set_registry(Registry registry) { registry_ = std::move(registry); }

    /// A line in the box's own log; `source`: system or agent, whose words they are.
    void note(const Box& box, const std::string& level, const std::string& message, const char* source = "system");
    /// Until a line comes to the log of any box, or a box is deleted.
    Task<> noted() { co_await noted_.wait(); }
    /// Ends, too, what was made ahead.
    Task<> drain();
    [[nodiscard]] const Stock& stock() const { return stock_; }
    [[nodiscard]] Layers& layers() { return layers_; }
    [[nodiscard]] Records& records() { return records_; }
    [[nodiscard]] EventLog& events() { return events_; }
    [[nodiscard]] CustomerLimits& limits() { return limits_; }
    [[nodiscard]] Mechanisms& mechanisms() { return mechanisms_; }
    [[nodiscard]] Workers& workers() { return workers_; }
    [[nodiscard]] const asio::any_io_executor& executor() const { return executor_; }
    [[nodiscard]] size_t leaving() const { return leaving_.size() + stock_.ending(); }

  private:
    std::optional<Moment> look_at_clock(Moment now);
    Task<Result<void>> change_network(std::shared_ptr<Box> box, std::function<Result<void>()> make,
                                      std::function<void()> take_back);
    Task<> act(Due due, std::shared_ptr<Box> box);
    void watch(const Box& box);
    Task<Result<void>> carry_out(Action action, std::shared_ptr<Box> box);
    Result<std::shared_ptr<Admission>> admit(const CreateBox& command);
    Result<void> take_memory(Box& box);
    [[nodiscard]] uint64_t most_disk_of(const Box& box) const;
    Task<> hold_to_disk(std::vector<std::shared_ptr<Box>> boxes);
    Task<Result<void>> apply(Trigger trigger, std::shared_ptr<Box> box);
    std::optional<Stock::Made> take_ready(const CreateBox& command);
    Task<Result<void>> start(std::shared_ptr<Box> box, Upper upper, std::optional<Prepared> ahead = std::nullopt);
    Task<Result<void>> start_afresh(std::shared_ptr<Box> box);
    Task<Result<void>> bury(std::shared_ptr<Box> box, std::optional<Life> life);
    Task<> start_kept(std::shared_ptr<Box> box);
    Result<void> listen_to(const std::shared_ptr<Box>& box, Life& life);
    // What who asked for a removal and the removal itself share: either may be done first.
    struct Removal {
        explicit Removal(const asio::any_io_executor& executor) : done(executor) {}
        Event done;
        DeleteTimes times;
        bool finished = false;  ///< only then may `times` be read: a worker writes them
    };
    void finish_behind(const std::shared_ptr<Box>& box, const std::shared_ptr<Removal>& removal);
    Task<> finish_removal(std::shared_ptr<Box> box, std::shared_ptr<Removal> removal);
    Task<Result<void>> settle(std::shared_ptr<Box> box);
    void give_address_back(Box& box);
    void let_mounted_go(Box& box);
    Result<void> bury_now(Box& box);
    Result<void> mend_files(Box& box, std::optional<Life>& life);
    bool forget_unwanted(const std::shared_ptr<Box>& box);
    Result<void> take_over(const std::shared_ptr<Box>& box, std::optional<Life> life);
    void claim_ids(const Box& box);
    Result<void> own_ids(Box& box);
    Result<void> forget(Box& box);
    Result<void> leave_kernel(const Box& box);
    Result<void> save(Box& box);
    void take_back(BoxRecord& record, const Edit& edit, const Edit& back);
    [[nodiscard]] bool uses_layer(const std::string& layer) const;
    [[nodiscard]] size_t count_on_layer(const std::string& layer) const;
    void enlist(const std::shared_ptr<Box>& box);
    void strike(const Box& box);
    void on_init_gone(const std::shared_ptr<Box>& box);

    asio::any_io_executor executor_;
    Mechanisms& mechanisms_;
    Records& records_;
    Workers& workers_;
    Layers& layers_;
    Meter& meter_;
    BoxListener& listener_;
    EventLog& events_;
    CustomerLimits& limits_;
    std::map<std::string, std::shared_ptr<Box>> boxes_;                 ///< by id
    std::map<std::pair<std::string, std::string>, std::string> names_;  ///< customer and name, to id
    std::map<std::string, std::shared_ptr<Box>> leaving_;  ///< being taken apart; for callers they do not exist
    std::function<void(const std::shared_ptr<Box>&)> started_;
    std::function<void(const Box&)> deleted_;
    Registry registry_{};  ///< none of a host that stands alone
    Signal noted_;
    Signal awake_;  ///< some box is made or woken, or a limit is another
    Gate work_;
    Alarm alarm_;
    Stock stock_;
    Workers reclaimers_{1, 0, Urgency::kBehind};  ///< not the workers of requests: a large box takes seconds
};

}  // namespace hutch::daemon
