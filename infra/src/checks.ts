/** Rules of AWS and for HIPAA that every synthesis is held to. */
import { App, Validations, type AppProps } from 'aws-cdk-lib';
import { VALIDATE_AGAINST_DEFAULT_RULES } from 'aws-cdk-lib/cx-api';
import { AwsSolutionsChecks, HIPAASecurityChecks } from 'cdk-nag';

/** An app whose synthesis ends with what the rules find, and with what CloudFormation would refuse. */
export function checkedApp(props: AppProps = {}): App {
  const app = new App({ ...props, context: { [VALIDATE_AGAINST_DEFAULT_RULES]: true, ...props.context } });
  addChecks(app);
  return app;
}

/** A finding that nobody acknowledged with a reason ends the synthesis. */
export function addChecks(app: App): void {
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app), new HIPAASecurityChecks(app));
}
