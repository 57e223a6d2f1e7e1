/**
 * Requests take turns. A browser has six connections to a server, of which one is for events and one has to be free for
 * whatever a click asks; what waits for one would wait in the order it was asked.
 */
interface Waiting {
  rank: () => number;
  begin: () => void;
}

/** The rank of what nobody sees yet: it begins where nothing else is asked. */
export const BEHIND = 2;

export class Turns {
  private waiting: Waiting[] = [];
  private readonly running = new Set<Waiting>();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly most: number) {}

  /** Does the work when it is its turn: those of the least rank first, which is looked at then. Rejects when aborted meanwhile. */
  run<T>(rank: () => number, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return new Promise((resolve, reject) => {
      const abort = () => {
        this.waiting = this.waiting.filter((w) => w !== one);
        reject(signal!.reason);
        this.look();
      };
      const begin = () => {
        signal?.removeEventListener('abort', abort);
        this.running.add(one);
        const done = () => {
          this.running.delete(one);
          this.look();
        };
        work().then(resolve, reject).then(done);
      };
      const one: Waiting = { rank, begin };
      if (signal?.aborted) return reject(signal.reason);
      signal?.addEventListener('abort', abort);
      this.waiting.push(one);
      // Those of one frame are ranked together.
      this.timer ??= setTimeout(() => this.look());
    });
  }

  /** Whether anything that somebody sees has not been answered. */
  get busy(): boolean {
    return [...this.running, ...this.waiting].some((one) => one.rank() < BEHIND);
  }

  private look() {
    clearTimeout(this.timer);
    this.timer = undefined;
    const ranked = this.waiting.map((w) => ({ w, rank: w.rank() })).sort((a, b) => a.rank - b.rank);
    for (const { w, rank } of ranked) {
      if (this.running.size >= this.most) return;
      if (rank >= BEHIND && [...this.running].some((r) => r.rank() < BEHIND)) return;
      this.waiting.splice(this.waiting.indexOf(w), 1);
      w.begin();
    }
  }
}
