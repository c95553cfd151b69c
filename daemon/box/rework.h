#pragma once

#include "daemon/box/mechanisms.h"
#include "daemon/store/records.h"

namespace hutch::daemon {

// What a box's files are made of is changed in steps, and a crash may come between any two: its record says what was
// begun (FilesChange), and these finish it. For boxes without a life; blocking; again and again without harm.

/// The upper becomes the layer `change_layer`, and an empty one stands on top: a rename, beyond the sync of its data.
/// Durable when it returns.
Result<void> seal_files(Mechanisms& mechanisms, const BoxRecord& box);
/// The upper is thrown away for an empty one on `layers`.
Result<void> reset_files(Mechanisms& mechanisms, const BoxRecord& box);

/// Finishes or takes back what a crash or an error has left in the middle, and answers the record as it is then,
/// without a change. A box that was frozen for a copy is thawed; of one that has a life and loses its files the life
/// must have ended.
Result<BoxRecord> finish_change(Mechanisms& mechanisms, BoxRecord box);

/// Takes over what finish_change() changes.
void take_files(BoxRecord& box, const BoxRecord& mended);

}  // namespace hutch::daemon
