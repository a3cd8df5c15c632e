// The same through @segment/analytics-node, which keeps events in memory only: reported beside ours, not judged.
import { killAgainAndAgain } from '../killing.mjs';
import { integrity, verdict } from '../judge.mjs';

export const title = 'the same, @segment/analytics-node';

export async function run(/** @type {import('../scene.mjs').Scene} */ scene) {
  const least = { kills: scene.short ? 2 : 40, accepted: 0 };
  const { collector, pendingKills } = await killAgainAndAgain(
    scene,
    () => ({ library: 'analytics-node' }),
    least,
  );
  const judged = scene.account(collector.deliveries);
  const { status, problems } = verdict({
    // Its losses are what this row shows; that they are counted right is what it promises.
    promises: integrity(judged),
    proofs: { 'a kill while events were pending': pendingKills > 0 },
    examples: judged.examples,
  });
  return {
    status: status === 'passed' ? 'reported' : status,
    problems,
    figures: scene.figures(judged, collector.faults),
    facts: [`${pendingKills} kills hit pending events`],
  };
}
