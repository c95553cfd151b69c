// Chance that can be had again: the same seed gives the same throws.

export class Dice {
  constructor(...seeds) {
    this.state = 0;
    for (const seed of seeds) this.state = Math.floor(this.next() * 2 ** 32) ^ seed;
  }

  /// In [0, 1): mulberry32.
  next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  below(count) {
    return Math.floor(this.next() * count);
  }

  /// From `low` to `high`, both possible.
  range(low, high) {
    return low + this.below(high - low + 1);
  }

  /// Small ones as likely as large ones: from 1 to 2 ** bits.
  anySize(bits) {
    return Math.ceil(2 ** (this.next() * bits));
  }

  chance(of) {
    return this.next() < of;
  }

  pick(list) {
    return list[this.below(list.length)];
  }

  /// The name of one of `weights`: {name: weight}.
  weighted(weights) {
    let at = this.next() * Object.values(weights).reduce((sum, weight) => sum + weight, 0);
    for (const [name, weight] of Object.entries(weights)) {
      at -= weight;
      if (at < 0) return name;
    }
    return Object.keys(weights).at(-1);
  }
}
