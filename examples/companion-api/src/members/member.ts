export const PLANS = ['basic', 'plus', 'family'] as const;
export type Plan = (typeof PLANS)[number];

export interface Member {
  readonly id: string;
  readonly email: string;
  readonly firstName: string;
  readonly lastName: string;
  readonly passwordHash: string;
  plan: Plan;
}
